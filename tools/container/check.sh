#!/usr/bin/env bash
# Builds the image's file system with debootstrap and runs the demo in it, in a chroot as an ordinary user; then once
# more with two ranks that this machine's mpirun starts.  As root; by hand, not in CI:
#
#   tools/container/check.sh [DIR]     12 GB in DIR (/var/tmp/ferry-image), half an hour; what is there already is kept
#
# CUDA=1 builds the CUDA half too.  PLACE (/opt/ferry) is where in the image the tree lies, and CCACHE_DIR, if set, a
# compiler cache; another build of the same place may have filled it.
set -euo pipefail
cd "$(dirname "$0")/../.."
image=$(realpath -m "${1:-/var/tmp/ferry-image}")
place=${PLACE:-/opt/ferry}
user=ferry-check

say() { echo "container: $*"; }
fail() { say "$*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "chroot needs root"
for program in debootstrap mpirun git; do command -v "$program" >/dev/null || fail "$program is missing here"; done

# Mounts are this process's own and go with it.
if [ -z "${FERRY_CHECK_MOUNTS:-}" ]; then exec env FERRY_CHECK_MOUNTS=1 unshare -m "$0" "$@"; fi

if [ ! -e "$image/etc/debian_version" ]; then
  say "debootstrap bookworm into $image"
  debootstrap --variant=minbase --include=ca-certificates bookworm "$image" http://deb.debian.org/debian >/dev/null
fi
chroot "$image" id "$user" >/dev/null 2>&1 || chroot "$image" useradd --create-home "$user"
# As Apptainer does; and the image trusts whom this machine trusts.
for folder in /proc /sys /dev /tmp; do mount --rbind "$folder" "$image$folder"; done
cp -L /etc/resolv.conf /etc/hosts "$image/etc/"
cp -L /etc/ssl/certs/ca-certificates.crt "$image/etc/ssl/certs/"
cache=()
if [ -n "${CCACHE_DIR:-}" ]; then
  mkdir -p "$image/var/cache/ccache"
  mount --bind "$CCACHE_DIR" "$image/var/cache/ccache"
  cache=(CCACHE_DIR=/var/cache/ccache)
fi

# in_image USER COMMAND...: with a login's variables and nothing of this shell's
in_image() {
  local name=$1 home; shift
  home=$(chroot "$image" getent passwd "$name" | cut -d: -f6)
  env -i HOME="$home" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt CUDA="${CUDA:-0}" "${cache[@]}" \
    chroot --userspec="$name" "$image" bash -c 'cd; exec "$@"' _ "$@"
}

mkdir -p "$image$place"
git archive HEAD | tar -x -C "$image$place"
say "building in $place of the image"
in_image root bash "$place/tools/container/inside.sh"

say "the demo, as $user"
in_image "$user" ferry demo --out demo.mp4
[ -s "$image/home/$user/demo.mp4" ] || fail "the demo left no video"

say "two ranks in the image, started by this machine's $(mpirun --version | head -1)"
# As the same user outside and inside, as with Apptainer; chroot is all that it may do beyond that.
id=$(chroot "$image" id -u "$user")
outside=(setpriv --reuid="$id" --regid="$id" --clear-groups --inh-caps=+sys_chroot --ambient-caps=+sys_chroot)
inside=(chroot "$image" env HOME="/home/$user" PATH=/usr/local/bin:/usr/bin:/bin OMP_NUM_THREADS=1)
(cd / && env HOME=/ "${outside[@]}" timeout 300 mpirun -n 2 --bind-to none "${inside[@]}" \
  ferry generate --model "$place/models/demo" --device cpu --prompt "a red circle on a black background" \
  --overwrite --out "/home/$user/ranks.mp4")
[ -s "$image/home/$user/ranks.mp4" ] || fail "the ranks left no video"
say "both left a video in $image/home/$user"
