"""``python -m bayes_ddp`` is the command ``bayes-ddp``."""

from bayes_ddp.cli import main

if __name__ == "__main__":
    main()
