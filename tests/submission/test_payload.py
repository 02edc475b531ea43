"""Packed code is decoded as data, whatever the wrapper; what can't be decoded is said."""

from __future__ import annotations

import ast
import base64
import bz2
import gzip
import lzma
import marshal
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.submission.model import Party, SourceFile
from auditor.submission.payload import Unpacked, unpack
from auditor.submission.tree import DirectoryTree

CODE = "import torch\nval_loss = 1.0  # ü\nprint(val_loss)\n"
RAW = [{"id": lzma.FILTER_LZMA2}]


def raw_lzma(data: bytes) -> bytes:
    return lzma.compress(data, format=lzma.FORMAT_RAW, filters=RAW)


def b85(data: bytes) -> str:
    return base64.b85encode(data).decode()


Unpack = Callable[..., Unpacked]


@pytest.fixture
def unpacked(tmp_path: Path) -> Unpack:
    """Unpacks a script that lies in a folder with these other files."""

    def run(script: str, **files: bytes) -> Unpacked:
        for name, content in files.items():
            (tmp_path / name.replace("__", ".")).write_bytes(content)
        return unpack(SourceFile("train_gpt.py", script), DirectoryTree(tmp_path))

    return run


def texts(found: Unpacked) -> list[str]:
    return [p.text for payloads in found.payloads.values() for p in payloads]


DATA = CODE.encode()
WRAPPERS = {
    "lzma": "import lzma as L,base64 as B\n"
    f"exec(L.decompress(B.b85decode({b85(lzma.compress(DATA))!r})))",
    "raw lzma": "import lzma as L,base64 as B\n"
    f"exec(L.decompress(B.b85decode({b85(raw_lzma(DATA))!r}),format=L.FORMAT_RAW,"
    "filters=[{'id':L.FILTER_LZMA2,'preset':9|L.PRESET_EXTREME}]).decode('utf-8'))",
    "zlib, from-imports": "from base64 import b85decode\nfrom zlib import decompress\n"
    f"exec(decompress(b85decode({b85(zlib.compress(DATA))!r})).decode())",
    "bz2, star-import": f"from base64 import *\nimport bz2\n_p={b85(bz2.compress(DATA))!r}\n"
    "exec(bz2.decompress(b85decode(_p)))",
    "gzip, hex": "import gzip\n"
    f"exec(gzip.decompress(bytes.fromhex({gzip.compress(DATA).hex()!r})))",
    "brotli": "import brotli as B,base64 as b\n"
    f"exec(B.decompress(b.b85decode({b85(brotli.compress(DATA))!r})))",
    "zstd object": "import zstandard as z,base64\n"
    "exec(z.ZstdDecompressor().decompress(base64.b64decode("
    f"{base64.b64encode(zstandard.compress(DATA))!r})))",
    "lzma object": "import lzma\nd=lzma.LZMADecompressor(format=lzma.FORMAT_RAW,"
    f"filters=[{{'id':lzma.FILTER_LZMA2}}])\nexec(d.decompress({raw_lzma(DATA)!r}))",
    "a85": f"import base64\nexec(base64.a85decode({base64.a85encode(DATA)!r}).decode())",
    "b32": f"import base64\nexec(base64.b32decode({base64.b32encode(DATA)!r}).decode())",
    "unhexlify": f"import binascii as q\nexec(q.unhexlify({DATA.hex()!r}).decode('utf8'))",
    "bytes literal": f"exec(bytes({list(DATA)!r}).decode())",
    "codecs": f"import codecs\nexec(codecs.decode({DATA.hex()!r},'hex').decode())",
    "__import__": "exec(__import__('zlib').decompress(__import__('base64').b64decode("
    f"{base64.b64encode(zlib.compress(DATA))!r})))",
    "importlib and getattr": "import importlib\nz=importlib.import_module('zlib')\n"
    f"getattr(__builtins__,'exec')\nexec(getattr(z,'decompress')({zlib.compress(DATA)!r}))",
    "chunks": "import zlib,base64\n_D=(\n"
    + "".join(f"    {b85(zlib.compress(DATA))[i : i + 20]!r},\n" for i in range(0, 400, 20))
    + ")\nexec(zlib.decompress(base64.b85decode(''.join(_D))))",
    "concatenation": f"s={CODE[:20]!r}\ns+={CODE[20:]!r}\nexec(s)",
    "lines": "import zlib,base64\n_b=b'''\n"
    + "\n".join(base64.encodebytes(zlib.compress(DATA)).decode().split())
    + "\n'''\nexec(zlib.decompress(base64.b64decode(_b.replace(b'\\n',b''))).decode())",
    "xor": f"k=7\nexec(bytes(b^k for b in {bytes(b ^ 7 for b in DATA)!r}).decode())",
    "bytearray loop": "o=bytearray()\n"
    f"for b in {bytes(b ^ 9 for b in DATA)!r}:\n o.append(b^9)\nexec(o)",
    "reversed": f"exec({CODE[::-1]!r}[::-1])",
    "chr": f"exec(''.join(map(chr,{[ord(c) for c in CODE]!r})))",
    "lambda": "import zlib,base64\nu=lambda s:zlib.decompress(base64.b85decode(s))\n"
    f"exec(u({b85(zlib.compress(DATA))!r}))",
    "function": f"def load(s):\n  exec(compile(s,'x.py','exec'),globals())\nload({CODE!r})",
    "guarded main": "import zlib\ndef main():\n"
    f"  exec(zlib.decompress({zlib.compress(DATA)!r}))\nif __name__=='__main__':\n  main()",
    "method": f"class A:\n  def go(self):\n    exec({CODE!r})\nA().go()",
    "alias": f"import zlib\nd=zlib.decompress;r=exec\nr(d({zlib.compress(DATA)!r}))",
    "temporary file, runpy": "import zlib,tempfile,os,runpy\nd=tempfile.mkdtemp()\n"
    "f=os.path.join(d,'train_gpt.py')\n"
    f"open(f,'wb').write(zlib.decompress({zlib.compress(DATA)!r}))\n"
    "runpy.run_path(f,run_name='__main__')",
    "temporary file, import by path": "import zlib,importlib.util as u\n_p='/tmp/inner.py'\n"
    f"with open(_p,'wb') as f:f.write(zlib.decompress({zlib.compress(DATA)!r}))\n"
    "s=u.spec_from_file_location('m',_p)\nm=u.module_from_spec(s)\ns.loader.exec_module(m)",
    "pathlib": "import pathlib,zlib,runpy\np=pathlib.Path('/tmp')/'a.py'\n"
    f"p.write_bytes(zlib.decompress({zlib.compress(DATA)!r}))\nrunpy.run_path(str(p))",
    "linecache": "import zlib,linecache as C\n"
    f"S=zlib.decompress({zlib.compress(DATA)!r}).decode()\nF=__file__+'.x.py'\n"
    "C.cache[F]=(len(S),None,S.splitlines(True),F)\nexec(compile(S,F,'exec'))",
    "walrus and ternary": "import zlib\n"
    f"exec((x:=zlib.decompress)({zlib.compress(DATA)!r}) if 1 else '')",
    "file either way": "import os,zlib\n"
    f"if os.path.exists('a.py'):\n  pass\nelse:\n  exec(zlib.decompress({zlib.compress(DATA)!r}))",
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_decodes(name: str, unpacked: Unpack) -> None:
    found = unpacked(WRAPPERS[name])
    assert texts(found) == [CODE]
    assert not found.problems


@pytest.mark.parametrize("name", WRAPPERS)
def test_payload_names_its_host_and_line(name: str, unpacked: Unpack) -> None:
    (payload,) = unpacked(WRAPPERS[name]).payloads["train_gpt.py"]
    assert payload.path == "train_gpt.py!payload-1"
    assert payload.host == "train_gpt.py"
    assert 1 <= (payload.host_line or 0) <= WRAPPERS[name].count("\n") + 1


def test_nested_payloads(unpacked: Unpack) -> None:
    text = CODE
    for _ in range(3):
        text = f"import zlib\nexec(zlib.decompress({zlib.compress(text.encode())!r}))"
    found = unpacked(text)
    assert list(found.payloads) == [
        "train_gpt.py",
        "train_gpt.py!payload-1",
        "train_gpt.py!payload-1!payload-1",
    ]
    assert found.payloads["train_gpt.py!payload-1!payload-1"][0].text == CODE


def test_nesting_has_an_end(unpacked: Unpack) -> None:
    text = CODE
    for _ in range(20):
        text = f"exec({text!r}+'')" if len(text) < 100_000 else text
        text = f"import zlib\nexec(zlib.decompress({zlib.compress(text.encode())!r}))"
    (problem,) = unpacked(text).problems
    assert "nested" in problem.what and problem.party is Party.SUBMISSION


def test_stage_uses_names_of_its_host(unpacked: Unpack) -> None:
    stage = "exec(zlib.decompress(blob))"
    found = unpacked(f"import zlib\nblob={zlib.compress(DATA)!r}\nexec({stage!r}+'\\n')")
    assert texts(found) == [stage + "\n", CODE]


def test_sibling_file(unpacked: Unpack) -> None:
    script = (
        "import lzma,pathlib\n"
        "s=lzma.decompress(pathlib.Path(__file__).with_suffix('.py.xz').read_bytes())\n"
        "exec(compile(s,__file__,'exec'))"
    )
    assert texts(unpacked(script, train_gpt__py__xz=lzma.compress(DATA))) == [CODE]


def test_slice_of_own_source(tmp_path: Path) -> None:
    stub = "import zlib,base64 as B;r=open(__file__,'rb').read()[000:]\n"
    stub += "exec(zlib.decompress(B.b85decode(r)))\n#"
    stub = stub.replace("000", f"{len(stub):3}")
    whole = stub + b85(zlib.compress(DATA))
    (tmp_path / "train_gpt.py").write_text(whole)
    found = unpack(SourceFile("train_gpt.py", whole), DirectoryTree(tmp_path))
    assert texts(found) == [CODE]


def test_bundle_of_files(unpacked: Unpack) -> None:
    bundle = zlib.compress(
        f"import helper\n# ---\n{CODE}# ---\nint f(void) {{ return 1; }}".encode()
    )
    found = unpacked(
        "import zlib,os,tempfile\n"
        f"parts=zlib.decompress({bundle!r}).decode().split('# ---\\n')\n"
        "d=tempfile.mkdtemp()\n"
        "for n,c in zip(['run.py','helper.py','csrc/f.cpp'],parts):\n"
        "  f=os.path.join(d,n);open(f,'w').write(c)\n"
        "exec(open(os.path.join(d,'run.py')).read())"
    )
    assert {name: source.language for name, source in found.written.items()} == {
        "run.py": "python",
        "helper.py": "python",
        "csrc/f.cpp": "cpp",
    }
    assert found.written["helper.py"].text == CODE


def test_bundled_modules_keep_their_names(unpacked: Unpack) -> None:
    found = unpacked(
        "import sys,types\ndef install(name, source):\n  m=types.ModuleType(name)\n"
        "  sys.modules[name]=m\n  exec(compile(source,name,'exec'),m.__dict__)\n"
        f"install('pkg.mixer',{CODE!r})\n"
    )
    assert found.written["pkg/mixer.py"].text == CODE


def test_run_of_a_plain_file_is_no_payload(unpacked: Unpack) -> None:
    found = unpacked(
        'exec(open(__file__.replace("train_gpt.py","decode.py")).read())', decode__py=DATA
    )
    assert found.runs == [("train_gpt.py", "decode.py", 1)]
    assert not found.payloads


UNDECODABLE = {
    "marshal": (
        f"import marshal\nexec(marshal.loads({marshal.dumps(compile('1', 'x', 'exec'))!r}))",
        "marshal",
    ),
    "pickle": ("import pickle\nexec(pickle.loads(b'x'*300))", "pickle"),
    "unknown decoder": (f"import oddpack\nexec(oddpack.decode({'x' * 300!r}))", "oddpack.decode"),
    "absent file": ("exec(open('gone.bin','rb').read())", "gone.bin"),
    "broken data": ("import zlib\nexec(zlib.decompress(b'not zlib'))", "zlib"),
    "run-time source": ("import sys\nexec(sys.argv[1])", "only a run would know"),
    "zlib bomb": (
        "import zlib,base64\nexec(zlib.decompress(base64.b85decode("
        f"{b85(zlib.compress(bytes(20_000_000), 9))!r})))",
        "limit",
    ),
    "lzma bomb": (
        f"import lzma\nexec(lzma.decompress({lzma.compress(bytes(60_000_000))!r}))",
        "limit",
    ),
    "brotli bomb": (
        f"import brotli\nexec(brotli.decompress({brotli.compress(bytes(40_000_000))!r}))",
        "limit",
    ),
    "zstd bomb": (
        f"import zstd\nexec(zstd.decompress({zstandard.compress(bytes(60_000_000))!r}))",
        "limit",
    ),
    "gzip bomb": (
        f"import gzip\nexec(gzip.decompress({gzip.compress(bytes(60_000_000))!r}))",
        "limit",
    ),
    "bz2 bomb": (f"import bz2\nexec(bz2.decompress({bz2.compress(bytes(60_000_000))!r}))", "limit"),
    "lzma dictionary": (
        "import lzma\nexec(lzma.decompress(b'x',format=lzma.FORMAT_RAW,"
        "filters=[{'id':lzma.FILTER_LZMA2,'dict_size':1<<31}]))",
        "dictionary",
    ),
    "huge multiple": ("exec('x'*10**12)", "limit"),
    "huge shift": ("exec(str(1<<10**12))", "limit"),
    "endless loop": ("s=''\nwhile True:\n  s=s+'#'\nexec(s)", "steps"),
}


@pytest.mark.parametrize("name", UNDECODABLE)
def test_says_what_it_cannot_decode(name: str, unpacked: Unpack) -> None:
    script, reason = UNDECODABLE[name]
    found = unpacked(script)
    assert not found.payloads
    (problem,) = found.problems
    assert problem.what.startswith("not checked: ") and reason in problem.what
    assert problem.where.startswith("train_gpt.py:")


def test_missing_decoder_is_the_environments(
    unpacked: Unpack, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "brotli", None)
    (problem,) = unpacked(WRAPPERS["brotli"]).problems
    assert problem.party is Party.ENVIRONMENT and "brotli" in problem.what


@pytest.mark.parametrize(
    "script",
    [
        "import torch\nmodel.eval()\n",
        "import zlib,io\nstate = zlib.decompress(open('model.bin','rb').read())\n",
        "text = 'exec(' + repr(1) + ')'\n",
        "import base64\ntable = base64.b64decode('AAAA')\n",
        "import re\nexec_time = 3\nre.compile('exec')\n",
        "n = eval('1 + 1')\n",
    ],
)
def test_ordinary_code_is_left_alone(script: str, unpacked: Unpack) -> None:
    found = unpacked(script)
    assert not found.payloads and not found.problems


def test_nothing_is_executed(unpacked: Unpack, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    evil = f"open({str(mark)!r},'w').write('x')"
    unpacked(
        f"import os,zlib\n{evil}\nos.system('touch {mark}')\nexec({evil!r}+'')\n"
        f"eval(compile({evil!r},'x','eval'))\n__import__('subprocess').run(['touch',{str(mark)!r}])\n"
    )
    assert not mark.exists()


# ---- fuzz ----

_ENCODERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("zlib.decompress({})", zlib.compress),
    ("lzma.decompress({})", lzma.compress),
    ("bz2.decompress({})", bz2.compress),
    ("gzip.decompress({})", gzip.compress),
    ("brotli.decompress({})", brotli.compress),
    ("zstandard.decompress({})", zstandard.compress),
    ("base64.b64decode({})", base64.b64encode),
    ("base64.b85decode({})", base64.b85encode),
    ("base64.a85decode({})", base64.a85encode),
    ("base64.b32decode({})", base64.b32encode),
    ("binascii.unhexlify({})", lambda data: data.hex().encode()),
    ("bytes.fromhex({}.decode())", lambda data: data.hex().encode()),
    ("{}[::-1]", lambda data: data[::-1]),
]
_IMPORTS = "import zlib,lzma,bz2,gzip,brotli,zstandard,base64,binascii\n"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    text=st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1),
    layers=st.lists(st.sampled_from(_ENCODERS), max_size=5),
)
def test_any_nest_of_codecs(
    text: str, layers: list[tuple[str, Callable[[bytes], bytes]]], tmp_path: Path
) -> None:
    source = f"#{text!a}\n" + CODE
    data, expression = source.encode(), "{}"
    for template, encode in layers:
        data = encode(data)
        expression = expression.format(template) if expression != "{}" else template
    script = _IMPORTS + f"exec({expression.format(repr(data))})"
    found = unpack(SourceFile("a.py", script), DirectoryTree(tmp_path))
    assert texts(found) == [source]


_WORDS = (
    "exec eval compile open zlib.decompress base64.b85decode bytes str join range x y for in if "
    "else while def return lambda import from try except with as runpy.run_path [ ] ( ) { } : , . "
    "= + * ** << % b'a' 'a' "
    "10**9 -1 0 None not and or \n \n  ; __file__ __import__ getattr map zip list dict"
).split(" ")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(words=st.lists(st.sampled_from(_WORDS), max_size=40))
def test_any_text_is_survived(words: list[str], tmp_path: Path) -> None:
    unpack(SourceFile("a.py", "exec(x)\n" + " ".join(words)), DirectoryTree(tmp_path))


_ATOMS = st.sampled_from(
    [
        "x",
        "'ab'",
        "b'ab'",
        "7",
        "-1",
        "10**6",
        "[1,2]",
        "(1,)",
        "{'a':1}",
        "None",
        "__file__",
        "range(9)",
        "1.5",
    ]
)
_EXPRESSIONS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+ * - % ^ << >> // | &".split()), inner)
        .map(" ".join)
        .map("({})".format),
        st.tuples(inner, inner).map(lambda p: f"{p[0]}[{p[1]}]"),
        st.tuples(
            inner,
            st.sampled_from(
                (
                    "join replace split decode encode read write append extend items get strip "
                    "to_bytes translate format read_text parent seek"
                ).split()
            ),
            st.lists(inner, max_size=2),
        ).map(lambda p: f"({p[0]}).{p[1]}({','.join(p[2])})"),
        st.tuples(
            st.sampled_from(
                (
                    "bytes str int list dict zip map open eval exec len chr ord sorted enumerate "
                    "reversed bytearray zlib.decompress base64.b64decode lzma.decompress "
                    "pathlib.Path json.loads codecs.decode os.path.join runpy.run_path io.BytesIO "
                    "bytes.fromhex int.from_bytes tempfile.mkstemp"
                ).split()
            ),
            st.lists(inner, max_size=3),
        ).map(lambda p: f"{p[0]}({','.join(p[1])})"),
        inner.map(lambda e: f"[z for z in {e}]"),
        inner.map(lambda e: f"(lambda z: {e})(1)"),
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(first=_EXPRESSIONS, second=_EXPRESSIONS)
def test_any_expression_is_survived(first: str, second: str, tmp_path: Path) -> None:
    script = (
        "import zlib,base64,lzma,pathlib,json,codecs,os,runpy,io,tempfile\n"
        f"x = {first}\nx += {second}\nfor y in x:\n  exec({second})\nexec(x)"
    )
    ast.parse(script)
    unpack(SourceFile("a.py", script), DirectoryTree(tmp_path))
