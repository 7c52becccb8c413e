#!/usr/bin/env bash
# Inside an image, as root, with Ferry's sources in the folder that this file lies in: builds the program there.
# ferry.def, Dockerfile and check.sh beside it call this, so they differ only in how they come to a Debian 12.
#
# CUDA=1 brings NVIDIA's compiler through pip, of the version that LibTorch is built with, and with it the CUDA half.
set -euo pipefail
cd "$(dirname "$0")/../.."
export DEBIAN_FRONTEND=noninteractive

apt-get update -qq
apt-get install -y -qq --no-install-recommends make ca-certificates python3-venv >/dev/null
if [ "${CUDA:-0}" = 1 ]; then
  python3 -m venv /opt/nvcc
  /opt/nvcc/bin/pip install --quiet --disable-pip-version-check -r tools/container/requirements-cuda.txt
  toolkit=$(echo /opt/nvcc/lib/python3*/site-packages/nvidia/cu13)
  # The names that nvcc links with, which the wheels do not have.
  ln -sf libcudart.so.13 "$toolkit/lib/libcudart.so"
  ln -sfn lib "$toolkit/lib64"
  export PATH=$toolkit/bin:$PATH
fi
make build
ln -sf "$PWD/build/launcher/ferry" /usr/local/bin/ferry
apt-get clean
