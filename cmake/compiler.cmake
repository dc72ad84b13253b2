# Flags for everything that is compiled here. Warnings become errors with CMAKE_COMPILE_WARNING_AS_ERROR, as in the presets.
set(CMAKE_C_STANDARD 11) # gnu11: the __builtin overflow checks are used
set(CMAKE_C_STANDARD_REQUIRED ON)

add_compile_options("$<$<COMPILE_LANGUAGE:C>:-Wall;-Wextra;-Wshadow;-Wconversion>")

# Numbers must come out alike on every machine and with every compiler: no fast-math, and a product and a sum are fused
# only in the kernels of instruction sets that have it. errno after sqrtf and its like is what nobody reads; without it
# they are instructions.
add_compile_options("$<$<COMPILE_LANGUAGE:C>:-ffp-contract=off;-fno-math-errno>")

# Executables at random addresses, with their jump tables made read-only before main. In a release also checked string
# calls and stack canaries: should a bound ever be missed, the process ends there.
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack)
add_compile_options("$<$<AND:$<CONFIG:Release>,$<COMPILE_LANGUAGE:C>>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2;-fstack-protector-strong>")

# A test must see what its optimised twin does, and still be readable in a debugger.
set(CMAKE_C_FLAGS_DEBUG "-O1 -g -fno-omit-frame-pointer")

# The first report ends the program, so that no test can pass with one.
if(MOTE_SANITIZE)
    add_compile_options(-fsanitize=${MOTE_SANITIZE} -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${MOTE_SANITIZE})
endif()
if(MOTE_FUZZER)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()
