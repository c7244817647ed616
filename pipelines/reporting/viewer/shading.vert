#version 300 es
// The light of models/light.py at each vertex: Eq. 4 and Eq. 5, linear RGB; points in mm, camera frame.
precision highp float;

const int MOST_LAMPS = 4;
const float SMALLEST_COSINE = 1.0e-6;

in vec3 a_point;
in vec3 a_normal;
in vec3 a_diffuse;
in vec3 a_specular;
in float a_gloss; // shininess over the face's mean

uniform vec3 u_centre; // what the face turns about
uniform mat3 u_turn;
uniform float u_distance; // of the camera, on the z axis
uniform vec2 u_focal; // in units of half the picture
uniform vec2 u_shift; // of the picture, in units of half its size
uniform bool u_behind; // drawn where nothing else is
uniform bool u_unlit;

uniform vec3 u_harmonics[9];
uniform mat3 u_harmonics_turn;
uniform int u_lamps;
uniform vec3 u_lamp[MOST_LAMPS];
uniform float u_strength[MOST_LAMPS];
uniform mat3 u_lamps_turn;
uniform float u_shininess;

out vec3 v_light;

// Eq. 4: albedo times the irradiance of nine harmonics.
vec3 diffuse_shading(vec3 albedo, vec3 n) {
  const float C0 = 0.28209479177387814; // 1/2 √(1/π)
  const float C1 = 0.4886025119029199; // √(3/4π)
  const float C2 = 1.0925484305920792; // √(15/4π)
  const float C3 = 0.31539156525252005; // √(5/16π)
  vec3 irradiance = C0 * u_harmonics[0]
    + C1 * (n.y * u_harmonics[1] + n.z * u_harmonics[2] + n.x * u_harmonics[3])
    + C2 * (n.x * n.y * u_harmonics[4] + n.y * n.z * u_harmonics[5] + n.x * n.z * u_harmonics[7])
    + C3 * (3.0 * n.z * n.z - 1.0) * u_harmonics[6]
    + 0.5 * C2 * (n.x * n.x - n.y * n.y) * u_harmonics[8];
  return albedo * max(irradiance, 0.0);
}

// Eq. 5: Blinn–Phong of the point lights.
vec3 specular_shading(vec3 albedo, vec3 n, vec3 point) {
  vec3 outgoing = normalize(vec3(0.0, 0.0, u_distance) - point);
  float sum = 0.0;
  for (int i = 0; i < u_lamps; i++) {
    vec3 incoming = normalize(point - u_lamps_turn * u_lamp[i]);
    float cosine = dot(normalize(outgoing - incoming), n);
    if (cosine > SMALLEST_COSINE && dot(incoming, n) < 0.0) sum += u_strength[i] * pow(cosine, u_shininess * a_gloss);
  }
  return albedo * sum;
}

void main() {
  vec3 point = u_turn * (a_point - u_centre) + u_centre;
  vec3 normal = u_turn * a_normal;
  vec3 lit = diffuse_shading(a_diffuse, normal * u_harmonics_turn) + specular_shading(a_specular, normal, point);
  v_light = u_unlit ? a_diffuse : lit;
  float depth = u_distance - point.z;
  float near = 0.5 * u_distance, far = 1.5 * u_distance;
  float z = u_behind ? 0.99999 * depth : (depth * (far + near) - 2.0 * far * near) / (far - near);
  gl_Position = vec4(u_focal * point.xy + u_shift * depth, z, depth);
}
