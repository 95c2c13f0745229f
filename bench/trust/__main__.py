"""python -m bench.trust: write docs/trust.md from the trials that were kept."""

from bench.trust.page import PAGE, write_page

if __name__ == "__main__":
    PAGE.write_text(write_page(), encoding="utf-8")
