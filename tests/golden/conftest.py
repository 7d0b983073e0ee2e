"""The scripts that make the fixtures need torch and torchvision; the tests do not."""

collect_ignore_glob = ['make_*.py']
