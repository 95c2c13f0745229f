"""What a terminal shows after some output: a small part of a VT100, just what this program writes."""

import re

_SEQUENCE = re.compile(
    r"\x1b\[(?P<given>[?\d;]*)(?P<last>[A-Za-z])|\x1b\](?P<title>[^\x07]*)\x07|\x1b(?P<one>[78])"
)


class TerminalEmulator:
    """Two screens of ``columns`` and ``rows``; ``lines`` are those of the one that is shown."""

    def __init__(self, columns: int, rows: int, output: str = "") -> None:
        self._columns, self._rows = columns, rows
        self._screens = {False: [""] * rows, True: [""] * rows}
        self._row = self._column = 0
        self._kept = {"normal": (0, 0), "cursor": (0, 0)}
        self.is_alternate = False
        self.shows_cursor = True
        self.titles: list[str] = []
        """The texts of the OSC sequences."""
        self._rest = ""
        self.feed(output)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self._screens[self.is_alternate]]

    @property
    def lines_written(self) -> list[str]:
        """The lines up to the last one that is not empty; one empty line if there is none."""
        lines = self.lines
        return lines[: max((n for n, line in enumerate(lines, 1) if line), default=1)]

    def feed(self, output: str) -> None:
        """Take output, which may end inside of a sequence."""
        text, at = self._rest + output, 0
        while at < len(text):
            if text[at] != "\x1b":
                self._put(text[at])
                at += 1
            elif found := _SEQUENCE.match(text, at):
                self._obey(found)
                at = found.end()
            elif len(text) - at < 40:
                break
            else:
                raise AssertionError(f"not known to the emulator: {text[at : at + 20]!r}")
        self._rest = text[at:]

    def _put(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\b":
            self._column = max(0, self._column - 1)
        elif character == "\n":
            self._go_down()
        elif character >= " ":
            screen = self._screens[self.is_alternate]
            line = screen[self._row].ljust(self._column)
            screen[self._row] = line[: self._column] + character + line[self._column + 1 :]
            self._column = min(self._column + 1, self._columns - 1)

    def _go_down(self) -> None:
        self._column = 0  # the kernel writes CR before LF
        screen = self._screens[self.is_alternate]
        if self._row == self._rows - 1:
            screen[:] = [*screen[1:], ""]
        else:
            self._row += 1

    def _obey(self, found: re.Match[str]) -> None:
        given, last = found["given"] or "", found["last"]
        screen = self._screens[self.is_alternate]
        match last:
            case "H":
                row, _, column = given.partition(";")
                self._row = min(int(row or 1), self._rows) - 1
                self._column = min(int(column or 1), self._columns) - 1
            case "J":
                screen[:] = [""] * self._rows
            case "K":
                screen[self._row] = screen[self._row][: self._column]
            case "h" | "l":
                self._switch(given, on=last == "h")
            case None if found["title"] is not None:
                self.titles.append(found["title"])
            case None if found["one"] == "7":
                self._kept["cursor"] = self._row, self._column
            case None:
                self._row, self._column = self._kept["cursor"]
            case _:
                assert last == "m", found[0]

    def _switch(self, mode: str, *, on: bool) -> None:
        if mode == "?25":
            self.shows_cursor = on
        elif mode == "?1049" and on != self.is_alternate:
            if on:
                self._kept["normal"] = self._row, self._column
            else:
                self._row, self._column = self._kept["normal"]
            self.is_alternate = on
            self._screens[True] = [""] * self._rows
