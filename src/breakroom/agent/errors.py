"""Why an act was not done: one class, told to the caller as `{"ok": false, "code": …, "message": …}`.

Raised by every act of this room; turned into the answer by `acts`. Standard library only.
"""

from __future__ import annotations

import errno

__all__ = ["ActError", "from_os_error"]


class ActError(Exception):
    """The act was not done, or not wholly.

    `code` is stable: `bad-act` (the request is wrong), `gone` (the process or container is not there),
    `not-in-container` (the pid belongs to something else by now), `permission-denied`, `unsupported` (this kernel
    cannot), `link-taken` (a queueing discipline that is not ours), `not-in-effect` (done, but not seen when read back),
    `no-answer` (the service asked does not answer), `failed` (anything else).
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


_CODES = {
    errno.EPERM: "permission-denied",
    errno.EACCES: "permission-denied",
    errno.ESRCH: "gone",
    errno.ENOENT: "unsupported",
    errno.EOPNOTSUPP: "unsupported",
    errno.EAFNOSUPPORT: "unsupported",
    errno.EPROTONOSUPPORT: "unsupported",
    errno.EPROTO: "unsupported",
}


def from_os_error(error: OSError | Exception, doing: str) -> ActError:
    """What the kernel refused, as an `ActError`. Also takes pyroute2's `NetlinkError`, whose `code` is an errno.

    ENOENT means *unsupported* here: netlink answers so when the module that an act needs is not in the kernel.
    """
    number = getattr(error, "errno", None) or getattr(error, "code", None)
    number = number if isinstance(number, int) else 0
    name = errno.errorcode.get(number, "")
    text = str(error) if isinstance(error, OSError) else str(error.args[-1] if error.args else error)
    return ActError(_CODES.get(number, "failed"), f"cannot {doing}: {text}{f' ({name})' if name else ''}")
