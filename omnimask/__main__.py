"""`python -m omnimask`, also under `accelerate launch -m`."""

import sys

from omnimask.commands.main import main

sys.exit(main())
