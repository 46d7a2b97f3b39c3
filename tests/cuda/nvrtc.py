"""Compiles CUDA source with NVRTC for sm_80 and sm_90, which needs no GPU: python3 tests/cuda/nvrtc.py SOURCE

The library is that of the package nvidia-cuda-nvrtc of this Python, or the file named by NVRTC_LIB. Warnings are errors.
"""

import ctypes
import glob
import os
import re
import site
import sys
import time

ARCHITECTURES = ["sm_80", "sm_90"]


def library():
    """The path of libnvrtc."""
    if "NVRTC_LIB" in os.environ:
        return os.environ["NVRTC_LIB"]
    for folder in [*site.getsitepackages(), site.getusersitepackages(), *sys.path]:
        for found in sorted(glob.glob(os.path.join(folder, "nvidia", "*", "lib", "libnvrtc.so.*"))):
            if not found.endswith(".alt.so"):
                return found
    sys.exit("nvrtc.py: no libnvrtc; install it with `pip install nvidia-cuda-nvrtc`, or name the file in NVRTC_LIB")


def load():
    path = library()
    for builtins in glob.glob(os.path.join(os.path.dirname(path), "libnvrtc-builtins.so*")):
        ctypes.CDLL(builtins, mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(path)


class Nvrtc:
    def __init__(self):
        self.lib = load()
        self.lib.nvrtcGetErrorString.restype = ctypes.c_char_p

    def check(self, code):
        if code != 0:
            sys.exit(f"nvrtc.py: {self.lib.nvrtcGetErrorString(code).decode()}")

    def text(self, size, get, program):
        length = ctypes.c_size_t()
        self.check(size(program, ctypes.byref(length)))
        buffer = ctypes.create_string_buffer(length.value)
        self.check(get(program, buffer))
        return buffer.raw[: length.value]

    def compile(self, source, name, architecture):
        """The device code, and what the compiler said."""
        lib, program = self.lib, ctypes.c_void_p()
        self.check(lib.nvrtcCreateProgram(ctypes.byref(program), source, name.encode(), 0, None, None))
        options = [f"--gpu-architecture={architecture}", "--std=c++17"]
        array = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
        code = lib.nvrtcCompileProgram(program, len(options), array)
        log = self.text(lib.nvrtcGetProgramLogSize, lib.nvrtcGetProgramLog, program).decode().strip("\0\n ")
        if code != 0:
            sys.exit(f"nvrtc.py: {name} does not compile for {architecture}:\n{log}")
        return self.text(lib.nvrtcGetCUBINSize, lib.nvrtcGetCUBIN, program), log


def main(path):
    with open(path, "rb") as file:
        source = file.read()
    kernels = re.findall(rb'extern "C" __global__ void (\w+)', source)
    if not kernels:
        sys.exit(f"nvrtc.py: {path} has no kernels")
    nvrtc = Nvrtc()
    for architecture in ARCHITECTURES:
        start = time.time()
        code, log = nvrtc.compile(source, os.path.basename(path), architecture)
        if log:
            sys.exit(f"nvrtc.py: {architecture}: {log}")
        missing = [kernel.decode() for kernel in kernels if kernel not in code]
        if missing:
            sys.exit(f"nvrtc.py: {architecture}: no code for {missing}")
        print(f"{architecture}: {len(kernels)} kernels, {len(code)} bytes, {time.time() - start:.1f} s")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
