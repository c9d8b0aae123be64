#!/bin/bash
# kernel.sh [cloud|generic]: makes sure that Debian's kernel of that flavour is unpacked in the cache, and prints its folder:
# boot/vmlinuz-* and lib/modules/*. cloud boots faster in a virtual machine; generic has the drivers of real servers, IPMI too.
set -euo pipefail
case ${1:-cloud} in
  cloud) meta=linux-image-cloud-amd64 ;;
  generic) meta=linux-image-amd64 ;;
  *) echo "kernel.sh: want cloud or generic" >&2; exit 2 ;;
esac
cache=${XDG_CACHE_HOME:-$HOME/.cache}/racker/kernels
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9
package=$(apt-cache depends "$meta" | awk '/Depends: linux-image-/ {print $2; exit}')
version=$(apt-cache show --no-all-versions "$package" | awk '/^Version:/ {print $2; exit}')
dir=$cache/${package}_$version
if [ ! -d "$dir" ]; then
  new=$(mktemp -d "$cache/.new.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  chmod 0755 "$new"
  (cd "$new" && apt-get -q -o APT::Sandbox::User=root download "$package=$version" >/dev/null)
  dpkg -x "$new"/*.deb "$new/root"
  mv "$new/root" "$dir"
fi
echo "$dir"
