"""The FlatBuffers schemas of the messages that Runstart reads and writes, with the modules made from them.

The `.fbs` files are the source; `generated` is what the FlatBuffers compiler makes of them, kept under
version control so that nobody needs the compiler to use Runstart. Their namespace only places the Python
modules: it is not part of what travels.
"""

__all__: list[str] = []
