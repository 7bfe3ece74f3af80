"""How a data operation is declared, checked, computed once, and kept."""

from runstart.operation_kit.declaration import Input, Operation, operation
from runstart.operation_kit.entry import Entry, OutputFile, entry_folder, find_output, load_entry
from runstart.operation_kit.execution import Answer, Request, Workplace, execute, prepare
from runstart.operation_kit.finding import find_operation, find_operations
from runstart.operation_kit.keys import library_version, make_key
from runstart.operation_kit.kinds import (
    ColorChannels,
    Fits,
    Float,
    Image,
    Int,
    Kind,
    Select,
    Source,
    TargetPositions,
    Text,
)
from runstart.operation_kit.opening import MEMORY_VARIABLE, open_workplace
from runstart.operation_kit.outputs import Output, OutputImage, OutputPicture
from runstart.operation_kit.removal import Kept, find_key, list_kept, remove
from runstart.operation_kit.work import ColorChannelFile, FitsFile, Reporter, Silent, Work

__all__ = [
    "MEMORY_VARIABLE",
    "Answer",
    "ColorChannelFile",
    "ColorChannels",
    "Entry",
    "Fits",
    "FitsFile",
    "Float",
    "Image",
    "Input",
    "Int",
    "Kept",
    "Kind",
    "Operation",
    "Output",
    "OutputFile",
    "OutputImage",
    "OutputPicture",
    "Reporter",
    "Request",
    "Select",
    "Silent",
    "Source",
    "TargetPositions",
    "Text",
    "Work",
    "Workplace",
    "entry_folder",
    "execute",
    "find_key",
    "find_operation",
    "find_operations",
    "find_output",
    "library_version",
    "list_kept",
    "load_entry",
    "make_key",
    "open_workplace",
    "operation",
    "prepare",
    "remove",
]
