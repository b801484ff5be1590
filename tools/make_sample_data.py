"""Write the sample data: `omnimask sample-data`, from a clone.

python tools/make_sample_data.py data/sample
python tools/make_sample_data.py data/sample --only images,audio --force --seed 1
python tools/make_sample_data.py data/world --scenes 20000
"""

import sys
from pathlib import Path

if not __package__:
    # Started as a file: Python then puts tools/ first on the path, where the repository belongs.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from omnimask.commands.main import main

if __name__ == "__main__":
    sys.exit(main(["sample-data", *sys.argv[1:]]))
