"""What CUDA C++ calls the element types, and which of its pointers may point at elements of which type."""

from __future__ import annotations

import re

C_NAMES = {
    "i32": ("int", "int32_t", "signed int", "signed"),
    "u32": ("unsigned int", "unsigned", "uint32_t", "uint"),
    "i64": ("long long", "int64_t", "long", "long long int", "long int", "ptrdiff_t", "ssize_t"),
    "u64": ("unsigned long long", "uint64_t", "unsigned long", "size_t", "unsigned long long int"),
    "f32": ("float",),
    "f64": ("double",),
    "f16": ("half", "__half"),
    "bf16": ("__nv_bfloat16", "nv_bfloat16"),
    "u8": ("unsigned char", "uint8_t", "bool", "uchar"),
}
DTYPE_OF = {name: dtype for dtype, names in C_NAMES.items() for name in names}
_VECTORS = {
    "i32": r"int[1-4]",
    "u32": r"uint[1-4]",
    "i64": r"longlong[1-4]",
    "u64": r"ulonglong[1-4]",
    "f32": r"float[1-4]",
    "f64": r"double[1-4]",
    "f16": r"(__)?half2",
    "bf16": r"(__)?nv_bfloat162",
    "u8": r"uchar[1-4]",
}
_ANY_ELEMENT = ("void", "char", "unsigned char", "uint8_t", "int4", "uint4", "float4")  # bytes, or a wide load


def scalar_dtype(c_type: str) -> str:
    """The element type of a parameter of this C++ type; i32 for a type that is not known, say a template's."""
    return DTYPE_OF.get(c_type, "i32")


def points_elsewhere(c_type: str, dtype: str) -> bool:
    """Whether a pointer to `c_type` is known not to point at elements of `dtype`. An unknown type may point at any."""
    if c_type in C_NAMES[dtype] or c_type in _ANY_ELEMENT or re.fullmatch(_VECTORS[dtype], c_type):
        return False
    return c_type in DTYPE_OF or any(re.fullmatch(vector, c_type) for vector in _VECTORS.values())
