"""A process under the restrictions of a unit, as far as a process can put them on itself: no systemd needed.

`python confine.py RULES COMMAND…`; RULES is JSON: {"allow": [system calls], "families": [numbers]}. What a mount
namespace does (ProtectSystem and its like) is bwrap's, around it.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from typing import Final

_NO_NEW_PRIVILEGES: Final = 38
_MDWE: Final = 65
_ALLOW: Final = 0x7FFF0000
_EPERM: Final = 0x00050000 | 1
_EQUAL: Final = 4


class _Compare(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64),
    )  # fmt: skip


def confine(allow: list[str], families: list[int]) -> None:
    """These system calls and no others, sockets of these families alone; no memory both written and run."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")
    # MemoryDenyWriteExecute: a filter in systemd, a flag of the kernel's own since 6.3
    if libc.prctl(_MDWE, 1, 0, 0, 0):
        print("this kernel has no PR_SET_MDWE: MemoryDenyWriteExecute is not tried", file=sys.stderr)
    seccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    seccomp.seccomp_init.restype = ctypes.c_void_p
    seccomp.seccomp_load.argtypes = (ctypes.c_void_p,)
    add = seccomp.seccomp_rule_add_array
    add.argtypes = (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_Compare))
    rules = seccomp.seccomp_init(_EPERM)
    for name in allow:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number < 0:  # another architecture's
            continue
        if name == "socket":
            for family in families:
                add(rules, _ALLOW, number, 1, ctypes.byref(_Compare(0, _EQUAL, family, 0)))
        else:
            add(rules, _ALLOW, number, 0, None)
    if seccomp.seccomp_load(rules):
        raise OSError(0, "seccomp_load")


if __name__ == "__main__":
    confine(**json.loads(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
