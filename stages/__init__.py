"""The nodes of `dvc.yaml`: thin command lines, one file each."""
