# What Debian's cross compilers have in common. The toolchain file of a machine sets triple, emulator and the processor.
#
# libc comes with the compiler; the other libraries are built by tools/cross-dependencies, as archives, into
# build/third-party/<triple>. What is built here needs only the target's libc, and runs in tests through qemu's
# user-mode emulation.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_C_COMPILER ${triple}-gcc)
set(CMAKE_CROSSCOMPILING_EMULATOR ${emulator};-L;/usr/${triple})

set(third_party ${CMAKE_CURRENT_LIST_DIR}/../build/third-party/${triple})
set(CMAKE_FIND_ROOT_PATH ${third_party} /usr/${triple})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_LIBDIR} ${third_party}/lib/pkgconfig)
set(PKG_CONFIG_ARGN --static CACHE STRING "Archives do not name what they need themselves")
