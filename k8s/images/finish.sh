# Makes a virtual environment fit for an image, in which nothing changes nor is debugged: `finish.sh FOLDER`.
set -eu
packages="$(echo "$1"/lib/python3.*/site-packages)"

# Symbols for debuggers, 260 MB. What lies in NAME.libs was patched when it was packed, and is left alone.
for folder in hdf5plugin/plugins llvmlite/binding numcodecs; do
    if [ -d "$packages/$folder" ]; then
        find "$packages/$folder" -name '*.so' -exec strip --strip-unneeded {} +
    fi
done

# The libraries' own tests, but for those of astropy, which it imports; and maps for debuggers of web pages.
find "$packages" -type d -name tests -not -path "$packages/astropy/tests" -prune -exec rm -rf {} +
find "$packages" -name '*.map' -delete

# The code lies beside the libraries, laid out as in the repository, and is found from everywhere.
echo "$1/location" > "$packages/runstart.pth"

# Bytecode is never compared with its source again.
"$1/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash "$1/lib"
