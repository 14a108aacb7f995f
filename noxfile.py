"""The sessions of the house: `nox -l` lists them, `nox` runs what CI runs.

Every session runs on the interpreter nox runs on; `nox -s tests -P 3.13` takes another one.
A session whose subject is not in the tree says so and is skipped; what is there must pass.
"""

import os
import shutil
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = True
nox.options.sessions = ["ci"]

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
PYTHON_FOLDERS = ("src", "tests", "tools", "benchmarks", "examples")

# The order of a CI run: what fails fast first, the tests last so that their closing line ends the output.
CI_SESSIONS = ("lint", "types", "sync", "docs", "examples", "wheel", "web", "tests")

# What `quick` leaves to CI: stores behind servers and wrappers, faults, whole imports. A change to one of them runs its folder too.
NOT_QUICK = (
    *(f"tests/contract/test_{name}.py" for name in ("composite", "encrypted", "encrypted_servers", "postgres", "redis", "s3")),
    *(
        f"tests/{name}"
        for name in ("branching", "copying", "encryption", "faults", "importing", "migration", "objects", "property", "resuming")
    ),
)


def _install(session: nox.Session, *groups: str) -> None:
    """Install Turnfold in place together with dependency groups of pyproject.toml."""
    session.install("-e", ".", *nox.project.dependency_groups(PYPROJECT, *groups))


def _require(session: nox.Session, path: str) -> None:
    """Skip the session where its subject is not in the tree."""
    if not (ROOT / path).exists():
        session.skip(f"{path} is not in the tree")


def _checked_paths() -> list[str]:
    return [name for name in (*PYTHON_FOLDERS, "noxfile.py") if (ROOT / name).exists()]


def _ruff(session: nox.Session) -> None:
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(default=False)
def ci(session: nox.Session) -> None:
    """Run everything a change must pass."""
    for name in CI_SESSIONS:
        session.notify(name)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format with ruff."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    _ruff(session)


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy strict, and the public types with pyright too."""
    _install(session, "types")
    session.run("mypy", *_checked_paths())
    if (ROOT / "tests/types").is_dir():
        session.run("pyright")


@nox.session
def sync(session: nox.Session) -> None:
    """Check that the generated sync twins are those of the async source."""
    _require(session, "tools/make_sync.py")
    _install(session, "lint")  # the generator formats what it writes
    session.run("python", "tools/make_sync.py", "--check")


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests but those under load, in a browser and with the genuine CLIs."""
    _install(session, "test")
    session.run(
        "pytest", "-n", "2", "--dist", "loadgroup", "-m", "not load and not browser and not genuine and not real_s3", *session.posargs
    )


@nox.session
def quick(session: nox.Session) -> None:
    """Check what can be checked in a minute or so: lint, types, the tests of what needs no server and no wrapper."""
    _install(session, "dev")
    _ruff(session)
    session.run("mypy", *_checked_paths())
    session.run(
        "pytest",
        "-q",
        "-n",
        "2",
        "--dist",
        "loadgroup",
        "-m",
        "not slow and not crash and not load and not browser and not genuine and not real_s3",
        *(f"--ignore={path}" for path in NOT_QUICK),
        *session.posargs,
    )


@nox.session
def contract(session: nox.Session) -> None:
    """Run the shipped contract suite on every store at hand."""
    _require(session, "tests/contract")
    _install(session, "test")
    session.run("pytest", "tests/contract", *session.posargs)


@nox.session
def crash(session: nox.Session) -> None:
    """Kill processes at every moment and see that nothing acknowledged is lost."""
    _require(session, "tests/crash")
    _install(session, "test")
    session.run("pytest", "-m", "crash", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Run the fault suite on every store at hand, the long cases too: killed clients and servers, cut networks, full disks, clock jumps."""
    _require(session, "tests/faults")
    _install(session, "test")
    session.run("pytest", "tests/faults", "-m", "not load", *session.posargs)


@nox.session
def migration(session: nox.Session) -> None:
    """Run the previous version's code on new data and this code on old data; needs the repository's history."""
    _install(session, "test")
    session.run("pytest", "tests/migration", *session.posargs, env={"TURNFOLD_TEST_PREVIOUS": "required"})


@nox.session
def load(session: nox.Session) -> None:
    """Run the load tests: many processes, gigabytes."""
    _install(session, "test")
    session.run("pytest", "-m", "load", "--timeout=1800", *session.posargs)


@nox.session(name="real-s3", default=False)
def real_s3(session: nox.Session) -> None:
    """Run the tests of object storage on a real server: the bucket in TURNFOLD_TEST_REAL_S3, or Ceph in the root TURNFOLD_CEPH_ROOT."""
    if not any(os.environ.get(name) for name in ("TURNFOLD_TEST_REAL_S3", "TURNFOLD_CEPH_ROOT")):
        session.error("name a bucket in TURNFOLD_TEST_REAL_S3, or a root with Ceph in TURNFOLD_CEPH_ROOT")
    _install(session, "test")
    session.run("pytest", "-m", "real_s3", "--timeout=600", *session.posargs)


@nox.session(default=False)
def genuine(session: nox.Session) -> None:
    """Let the genuine CLIs resume what Turnfold wrote, on loopback with a scripted model."""
    _install(session, "test", "genuine")
    session.run("pytest", "-m", "genuine", "--timeout=600", "tests/genuine", *session.posargs, env={"TURNFOLD_GENUINE": "required"})


@nox.session(default=False)
def drift(session: nox.Session) -> None:
    """Run the newest CLIs, and print what their session files have that is not known here yet."""
    _install(session)
    session.install("--upgrade", *nox.project.dependency_groups(PYPROJECT, "genuine"))
    session.run("python", "-m", "tools.drift", "--npm", str(Path(session.virtualenv.location) / "npm"), *session.posargs)


@nox.session
def web(session: nox.Session) -> None:
    """Check exported pages in Chromium; without a Chromium on this machine it says so and is skipped."""
    _require(session, "tests/web")
    named = os.environ.get("TURNFOLD_CHROMIUM", "chromium")
    if not any(shutil.which(name) for name in (named, "chromium-browser", "google-chrome")):
        session.skip("there is no Chromium; install one (Debian: chromium, poppler-utils) or name it with TURNFOLD_CHROMIUM")
    _install(session, "web")
    session.run("pytest", "-q", "-n", "2", "-m", "browser", "tests/web", *session.posargs)


@nox.session(default=False)
def screenshots(session: nox.Session) -> None:
    """Store pictures of exported pages in build/screenshots, to be looked at."""
    _install(session, "web")
    session.run("python", "-m", "tools.screenshots", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation with warnings as errors and run its examples; the reference must be that of the code."""
    _install(session, "docs")
    session.run("python", "-m", "tools.make_reference", "--check")
    for builder in ("html", "doctest"):
        session.run("sphinx-build", "-W", "--keep-going", "-q", "-b", builder, "docs", f"docs/_build/{builder}")


@nox.session
def examples(session: nox.Session) -> None:
    """Run every example in a directory and with a store of its own."""
    _require(session, "examples")
    session.install("-e", ".[all]")
    for script in sorted((ROOT / "examples").glob("[!_]*.py")):
        with tempfile.TemporaryDirectory() as scratch, session.chdir(scratch):
            session.run("python", str(script), env={"TURNFOLD_STORE": f"sqlite:///{scratch}/example.db"})


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel, install it in a clean environment away from the source and use it."""
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    session.install("build")
    session.run("python", "-m", "build", "--outdir", "dist", silent=True)
    (built,) = (ROOT / "dist").glob("*.whl")
    with tempfile.TemporaryDirectory() as scratch:
        clean = Path(scratch) / "venv"
        session.run("python", "-m", "venv", str(clean))
        python = str(clean / "bin" / "python")
        # First as a user gets it: the wheel and its dependencies alone.
        session.run(python, "-m", "pip", "install", "-q", str(built), external=True)
        shutil.copytree(ROOT / "tests/wheel", Path(scratch) / "smoke")
        with session.chdir(scratch):
            env = {"PYTHONPATH": None, "TURNFOLD_STORE": f"sqlite:///{scratch}/wheel.db"}
            session.run(python, "-c", "import turnfold; print(turnfold.__file__)", external=True, env=env)
            if (ROOT / "src/turnfold/cli").is_dir():
                session.run(str(clean / "bin" / "turnfold"), "version", external=True, env=env)
            session.run(python, "-m", "pip", "install", "-q", "pytest", external=True)
            session.run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "smoke", external=True, env=env)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against the floors and the peers, and print the ratios."""
    _require(session, "benchmarks")
    _install(session)
    peers = ROOT / "benchmarks/requirements.txt"
    if peers.exists():
        session.install("-r", str(peers))
    os.environ.setdefault("PYTHONHASHSEED", "0")  # series must differ by the code alone
    session.run("python", "-m", "benchmarks", *session.posargs)
