"""`python -m omnimask`, also under `accelerate launch -m`."""

import sys

from omnimask.cli import main

sys.exit(main())
