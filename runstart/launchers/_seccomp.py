"""The filter of system calls of a confined process: no sockets, no other processes, nothing that hides memory.

A list of what is refused, not of what is allowed: numerical libraries call nearly everything else. Refused
calls fail with EPERM, so that a script sees an ordinary `PermissionError`. `clone3` and `openat2` fail as unknown,
because a filter cannot read their flags; libraries then use `clone` and `openat`.
"""

from __future__ import annotations

import platform
import struct

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = {"x86_64": 0, "aarch64": 1}

# Numbers on x86_64 and aarch64; None where the call does not exist.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # network
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200),
    # other processes, and what a process tells the scheduler
    "ptrace": (101, 117), "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "process_madvise": (440, 440), "setsid": (112, 157), "setpriority": (141, 140),
    "sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274),
    "ioprio_set": (251, 30), "migrate_pages": (256, 238), "move_pages": (279, 239),
    # memory that no process is charged for
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196),
    "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180), "userfaultfd": (323, 282),
    # calls inside calls
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    # what early versions of Landlock do not hold
    "truncate": (76, 45),
    # what belongs to a file but is not its content: Landlock does not hold it
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16), "removexattrat": (466, 466),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88),
    "file_setattr": (469, 469),
    # namespaces, mounts, keys, kernel
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219), "bpf": (321, 280), "perf_event_open": (298, 241),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "acct": (163, 89), "quotactl": (179, 60), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "adjtimex": (159, 171), "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162),
    "syslog": (103, 116),
}  # fmt: skip
_OF_THIS_PROCESS_ONLY = {"prlimit64": (302, 261), "sched_setaffinity": (203, 122)}
# Commands by which a file signals another process: F_SETOWN, F_SETSIG, F_SETOWN_EX; FIOSETOWN, SIOCSPGRP.
_REFUSED_COMMANDS = {"fcntl": ((72, 25), (8, 10, 15)), "ioctl": ((16, 29), (0x8901, 0x8902))}
_CLONE = (56, 220)
_NAMESPACE_FLAGS = 0x7E020000
# Opening that empties a file without asking to write it; the number of the argument that holds the flags.
_OPENING: dict[str, tuple[tuple[int | None, int | None], int]] = {"open": ((2, None), 1), "openat": ((257, 56), 2)}
_TRUNCATING, _ACCESS_MODE = 0x200, 0b11
_CALLS_OF_STRUCTURES = {"clone3": (435, 435), "openat2": (437, 437)}

_LOAD, _AND, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARGUMENTS, _ARGUMENT_SIZE = 0, 4, 16, 8
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_X32 = 0x40000000

_Instruction = tuple[int, int, int, int]
# To read only, and the mode 3 that Landlock takes for no access at all.
_EMPTIES_UNASKED: tuple[_Instruction, ...] = (
    (_JUMP_EQUAL, 0, 1, _TRUNCATING),
    (_JUMP_EQUAL, 0, 1, _TRUNCATING | _ACCESS_MODE),
)


def is_known() -> bool:
    """Return whether the calls' numbers are known for this processor."""
    return platform.machine() in _AUDIT_ARCH and struct.calcsize("P") == 8


def program() -> bytes:
    """Return the filter as an array of `struct sock_filter`.

    Raises
    ------
    OSError
        The numbers of this processor's calls are not known.
    """
    if not is_known():
        message = f"no filter of system calls for {platform.machine()}"
        raise OSError(message)
    machine = platform.machine()
    column = _COLUMN[machine]
    code = [
        (_LOAD, 0, 0, _ARCH),
        (_JUMP_EQUAL, 1, 0, _AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        code += [(_JUMP_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]
    for numbers in _REFUSED.values():
        number = numbers[column]
        if number is not None:
            code += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | _EPERM)]
    for known in _CALLS_OF_STRUCTURES.values():
        code += [(_JUMP_EQUAL, 0, 1, known[column]), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]
    for known in _OF_THIS_PROCESS_ONLY.values():
        code += _judge_argument(known[column], 0, (_JUMP_EQUAL, 1, 0, 0))
    code += _judge_argument(_CLONE[column], 0, (_JUMP_ANY_BIT, 0, 1, _NAMESPACE_FLAGS))
    for known, commands in _REFUSED_COMMANDS.values():
        code += _judge_argument(known[column], 1, *((_JUMP_EQUAL, 0, 1, command) for command in commands))
    for numbers, flags in _OPENING.values():
        number = numbers[column]
        if number is not None:
            code += _judge_argument(number, flags, *_EMPTIES_UNASKED, mask=_TRUNCATING | _ACCESS_MODE)
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def _judge_argument(
    number: int, argument: int, *refuse_if: _Instruction, mask: int = 0xFFFFFFFF
) -> list[_Instruction]:
    """Return the instructions that judge a call by the low half of one of its arguments, under a mask."""
    judgement = [(_LOAD, 0, 0, _ARGUMENTS + _ARGUMENT_SIZE * argument), (_AND, 0, 0, mask)]
    for condition in refuse_if:
        judgement += [condition, (_RETURN, 0, 0, _ERRNO | _EPERM)]
    judgement.append((_RETURN, 0, 0, _ALLOW))
    return [(_JUMP_EQUAL, 0, len(judgement), number), *judgement]
