#!/bin/sh
# build_plugin.sh NVCC plugin.cu OUTPUT [DEPFILE]: for all cards the plugin supports, or for those in
# GOSSAMER_CUDA_ARCHITECTURES ("90"). Nothing is fused that is not fused by name, so that a card and
# the processor give the same bits; the CUDA runtime is linked in, so that only a driver is needed.
set -eu
nvcc=$1 source=$2 output=$3 depfile=${4:-}
top=$(cd "$(dirname "$source")/../../.." && pwd)
architectures=${GOSSAMER_CUDA_ARCHITECTURES:-75 80 86 87 89 90 100 120}
codes= last=
for a in $architectures; do
    codes="$codes -gencode=arch=compute_$a,code=sm_$a"
    last=$a
done
codes="$codes -gencode=arch=compute_$last,code=compute_$last"
set -- -std=c++20 -O3 -fmad=false -prec-div=true -prec-sqrt=true -ftz=false -cudart static \
    -I"$top/src" -I"$top/include" -Xcompiler=-fPIC,-fvisibility=hidden
[ -z "$depfile" ] || "$nvcc" "$@" -M -MT "$output" -o "$depfile" "$source"
# shellcheck disable=SC2086
exec "$nvcc" "$@" $codes -shared -o "$output" "$source"
