"""What holds for all tests."""

import signal

# Whoever starts the tests in the background, or under nohup, has signals ignored, and so would the programs
# have that the tests start and signal: what was ignored at its start stays ignored.
for _signal in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, signal.default_int_handler if _signal is signal.SIGINT else signal.SIG_DFL)
