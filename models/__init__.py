"""Mathematics of the paper in torch: face model, camera, light, rasterizer, networks, losses, registration.

Where each equation lives:

=====  ==================================================
Eq.    function
=====  ==================================================
1      `models.face_model.FaceModel.vertices`
2      `models.face_model.FaceModel.albedos`
3      `models.camera.camera_from_model`, `models.camera.clip_from_camera`
4      `models.light.diffuse_shading`
5      `models.light.specular_shading`
6      `models.losses.total_loss`
7      `models.losses.identity_loss`
8      `models.losses.photometric_loss`
9      `models.losses.skin_weight`
10     `models.losses.landmark_loss`
11     `models.losses.mouth_loss`
12     `models.losses.regularization_loss`
13     `models.losses.uniform_loss`
=====  ==================================================
"""
