#!/bin/sh
# Makes .venv with everything: uv if it is missing, system libraries where allowed, packages.
set -eu
PYTHON=${PYTHON:-python3}

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "omnimask needs Python 3.11 or newer, $PYTHON is $("$PYTHON" --version 2>&1);" \
        "run: make PYTHON=/path/to/python3.11" >&2
    exit 1
}

# uv installs builds of torch, torchvision, torchaudio and torchcodec that match one another.
if command -v uv >/dev/null 2>&1; then
    UV=uv
else
    [ -x .venv-uv/bin/pip ] || "$PYTHON" -m venv .venv-uv || {
        echo "cannot make a virtual environment; run: apt-get install python3-venv" >&2
        exit 1
    }
    .venv-uv/bin/pip install --quiet uv
    UV=.venv-uv/bin/uv
fi

# Open3D needs the first four; torchcodec decodes through FFmpeg's libraries.
missing=""
"$PYTHON" -c "import ctypes.util, sys; sys.exit(not ctypes.util.find_library('avcodec'))" \
    || missing=" ffmpeg"
for pair in libusb-1.0.so.0=libusb-1.0-0 libGL.so.1=libgl1 libEGL.so.1=libegl1 libX11.so.6=libx11-6
do
    "$PYTHON" -c "import ctypes, sys; ctypes.CDLL('${pair%%=*}')" 2>/dev/null \
        || missing="$missing ${pair##*=}"
done
if [ -n "$missing" ]; then
    install="apt-get update && apt-get install -y --no-install-recommends$missing"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "installing system libraries:$missing"
        sh -c "$install" >/dev/null
    else
        echo "system libraries are missing that some readers need (omnimask doctor says which);"
        echo "run: sudo sh -c '$install'"
    fi
fi

# Compiled at once, since some machines forbid python to write bytecode when it is first imported.
[ -x .venv/bin/python ] || "$UV" venv --quiet --python "$PYTHON" --no-python-downloads .venv
"$UV" pip install --quiet --compile-bytecode --python .venv/bin/python --constraint constraints.txt \
    --override overrides.txt --editable ".[sample-data,dev]"
