# What tools/gpu/one.sh and many.sh share; sourced, not run.  They run from the repository's root.
build=${FERRY_GPU_BUILD:-$PWD/build-gpu}
out=${OUT:-$build/out}
scratch=${TMPDIR:-/tmp}/ferry-gpu
model=$scratch/model
mkdir -p "$out" "$scratch"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
command -v ssh >/dev/null || export OMPI_MCA_plm_rsh_agent=
gpus=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU' || true)
ferry=$build/launcher/ferry
python=python3
if [ -x .venv/bin/python ]; then python=.venv/bin/python; fi
if [ ! -d .venv ] && [ -d .carry/wheels ]; then
  "$python" -m pip install -q --no-index --no-deps --no-compile --upgrade --target "$scratch/site" .carry/wheels/*.whl
  export PYTHONPATH=$scratch/site
fi

# Beside the LibTorch that the program is built with.
if [ ! -d .venv ] && [ -d .carry/fa3 ]; then
  torch=$("$python" -c 'import torch; print(torch.__path__[0])')
  [ -e "$torch/../fa3_fwd" ] ||
    "$python" -m pip install -q --no-index --no-deps --no-compile --target "${torch%/torch}" .carry/fa3/*.whl
fi

configure() {
  local options=(-G Ninja -S . -B "$build") prefix
  if [ ! -d .venv ]; then
    prefix=$(python3 -c 'import torch; print(torch.utils.cmake_prefix_path)') || return 1
    options+=("-DCMAKE_PREFIX_PATH=$prefix")
  fi
  if [ -d .carry ] && ! [ -e /usr/lib/x86_64-linux-gnu/libboost_program_options.so ]; then
    options+=("-DFERRY_BOOST_PREFIX=$PWD/.carry/boost")
  fi
  if [ -d .carry ] && ! pkg-config --exists libutf8proc; then
    export PKG_CONFIG_PATH=$PWD/.carry/utf8proc/pkgconfig
  fi
  if [ ! -d .venv ] && "$python" -c 'import diffusers, ftfy, transformers'; then
    options+=("-DFERRY_PYTHON=$(command -v "$python")")
  elif [ ! -d .venv ]; then
    echo "WAIVED: comparing with diffusers and transformers, which $python does not have"
  fi
  if [ "$gpus" -gt 0 ]; then options+=(-DCMAKE_CUDA_ARCHITECTURES=native); fi
  cmake "${options[@]}"
}

# The programs behind the label gpu, what they need, and the probes of parity tests.
gpu_tests() {
  sed -n 's/^ *add_executable(\([a-z_]*\) support\/ballast.cpp)$/\1/p' tests/e2e/worker.cmake
  sed -nE 's/^ *ferry_(mpi_)?test\(([a-z_]*_gpu_test) .*/\2/p' tests/*/*.cmake
  sed -n 's/^ferry_parity_test(\([a-z_]*\) .* GPU)$/\1_gpu_probe/p' tests/parity/*.cmake
}

part_build() {
  local targets
  configure || return 1
  mapfile -t targets < <(gpu_tests)
  ninja -C "$build" ferry "${targets[@]}"
}

part_test() {
  nvidia-smi 2>/dev/null
  if [ "$gpus" -gt 0 ]; then export FERRY_REQUIRE_GPU=1; fi
  ctest --test-dir "$build" -L gpu -j 8 --output-on-failure --no-tests=error --output-junit "$out/test.xml"
}

# What runs for minutes at most: limit_s, or 480 seconds.
limited() { timeout "${limit_s:-480}" "$@"; }

# Runs a measurement and keeps its JSON lines:  keep RANKS bench ...
keep() {
  local ranks=$1 started=$SECONDS
  shift
  limited "$ferry" "$@" --json -n "$ranks" | tee -a "$out/measure.jsonl"
  local result=${PIPESTATUS[0]}
  echo "# $((SECONDS - started)) s: ferry $*"
  return "$result"
}

# generate at the size of the script:  video NAME options...
video() {
  local name=$1
  shift
  limited "$ferry" generate --model "$model" --device $device --size $size --frames $frames --seed 1 \
    --prompt "a cat walks on the grass, realistic" --overwrite --out "$out/$name.mp4" "$@" || return 1
  rm -f "$out/$name".{mp4,y4m}  # random weights make noise; the record is the result
}

# The picture of a trace, and the trace packed.
draw() {
  gzip -9 -c "$1" >"$1.gz" || return 1
  if ! "$python" -c 'import matplotlib' 2>/dev/null; then
    echo "WAIVED: the picture of $1 needs matplotlib"
    return
  fi
  "$python" tools/trace_picture.py "$1" "${1%.json}.png" "${@:2}"
}

# Runs each named part, each with its log; ends with what failed.
run_parts() {
  local part started failed=()
  for part in "$@"; do
    if ! declare -F "part_$part" >/dev/null; then
      echo "no part '$part'" >&2
      exit 2
    fi
  done
  for part in "$@"; do
    started=$SECONDS
    "part_$part" 2>&1 | tee "$out/$part.log"
    if [ "${PIPESTATUS[0]}" != 0 ]; then failed+=("$part"); fi
    echo "$part took $((SECONDS - started)) s"
    if [ "$part" = build ] && [ ${#failed[@]} -gt 0 ]; then break; fi
  done
  echo "failed: ${failed[*]:-nothing}; results in $out"
  [ ${#failed[@]} = 0 ]
}
