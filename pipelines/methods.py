"""Names of the methods that tables compare."""

MEAN_FACE = "mean_face"
OURS = "full"
WSL_CONTROL = "wsl_control"  # a training without highlight and inner mouth, to show what these bring
JOINT = "no_lmk_mouth"  # the paper's Table 2 leaves both losses out together
# Other variants appear in the ablation only (Tables 1 and 2).
COMPARED_METHODS = (OURS, WSL_CONTROL, MEAN_FACE)
# Named by the paper in Tables 3 to 5.
PEERS = ("3ddfa_v2", "mgcnet", "wsl", "prnet", "ringnet")
