#!/usr/bin/env python3
"""Tests of tools/: each checker must find a planted violation and accept a clean tree."""
import importlib.machinery
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent


def load(name):
    path = str(ROOT / "tools" / name)
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


class RoomsCheck(unittest.TestCase):
    def setUp(self):
        self.rooms = load("rooms-check")
        self.root = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.root)
        shutil.copy(ROOT / "ARCHITECTURE.md", self.root)

    def problems(self, name, text):
        path = self.root / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return self.rooms.check(self.root)[0]

    def test_downward_and_own_room(self):
        self.assertEqual(self.problems("invoke/a.cc", '#include "base/log.h"\n'
                                       '#include "invoke/b.h"\n#include <vector>\n'), [])

    def test_upward(self):
        self.assertIn("higher floor", self.problems("io/a.cc", '#include "front/front.h"\n')[0])

    def test_sibling(self):
        self.assertIn("own floor", self.problems("invoke/a.h", '#include "functions/model.h"\n')[0])

    def test_service_includes_service(self):
        found = self.problems("services/logs/a.cc", '#include "services/lambda/service.h"\n')
        self.assertIn("service logs includes service lambda", found[0])

    def test_sim_is_for_tests(self):
        self.assertIn("tests only", self.problems("io/a.cc", '#include "sim/manual_clock.h"\n')[0])
        (self.root / "src/io/a.cc").unlink()
        self.assertEqual(self.problems("io/a_test.cc", '#include "sim/manual_clock.h"\n'), [])

    def test_system_calls(self):
        self.assertIn("system calls", self.problems("invoke/a.cc", "#include <sys/mount.h>\n")[0])
        (self.root / "src/invoke/a.cc").unlink()
        self.assertEqual(self.problems("sandbox/a.cc", "#include <sys/mount.h>\n"), [])

    def test_unknown_room(self):
        self.assertIn("no room", self.problems("attic/a.cc", "\n")[0])


class Tidy(unittest.TestCase):
    def setUp(self):
        self.tidy = load("tidy")

    def test_function_length(self):
        body = "  call();\n" * 75
        text = ("namespace a {\nclass B {\n public:\n  int c() const override { return 1; }\n};\n"
                f"int B::d(int e,\n         int f) {{\n{body}}}\n"
                "Table t = {\n" + "  1,\n" * 90 + "};\n}\n")
        found = self.tidy.functions(text)
        self.assertEqual([(b - a + 1) for a, b, _ in found], [1, 78])

    def test_braces_in_literals(self):
        text = 'void a() {\n  f("{", \'{\', R"x({{)x");  // {\n}\nvoid b() {\n}\n'
        self.assertEqual([(a, b) for a, b, _ in self.tidy.functions(text)], [(1, 3), (4, 5)])

    def test_words(self):
        for text in ("// TODO later", "It simply works", "see /home/me/x", "XXX"):
            self.assertTrue(any(p.search(text) for p, _ in self.tidy.BANNED), text)
        for text in ("simplify", "$HOME/x", "../home/x"):
            self.assertFalse(any(p.search(text) for p, _ in self.tidy.BANNED), text)


class CountResults(unittest.TestCase):
    def test_counts(self):
        count = load("count-results").count
        doctest = "[doctest] test cases:  9 |  8 passed | 1 failed | 2 skipped\n"
        self.assertEqual(count("x\n3 passed, 1 failed, 2 skipped\n", 1), (3, 1, 2))
        self.assertEqual(count(doctest, 1), (8, 1, 0))
        self.assertEqual(count("crashed", 139), (0, 1, 0))
        self.assertEqual(count("3 passed, 0 failed, 0 skipped\n", 139), (3, 1, 0))
        self.assertEqual(count("fine", 0), (1, 0, 0))


class Coverage(unittest.TestCase):
    def test_table(self):
        tool = load("coverage")
        folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        record = '{"test": "%s", "calls": ["lambda:Invoke", "lambda:GetFunction"]}\n'
        (folder / "a.jsonl").write_text((record * 2) % ("lambda/a::1", "lambda/a::2"))
        (folder / "b.jsonl").write_text('{"test": "lambda/b::1", "calls": ["lambda:Invoke"]}\n')
        operations = {"services": [{"name": "lambda", "operations": [
            {"name": "GetFunction", "built": True}, {"name": "Invoke", "built": True},
            {"name": "ListTags", "built": True}, {"name": "Unbuilt", "built": False}]}]}
        text = tool.render(operations, tool.read_calls(folder))
        self.assertIn("3 of 4 operations are built; no test calls ListTags.", text)
        self.assertIn("| Invoke | yes | lambda/a 2, lambda/b 1 |", text)
        self.assertIn("| ListTags | yes |  |", text)
        self.assertIn("| Unbuilt | no |  |", text)


class Dev(unittest.TestCase):
    """./dev, in a folder where cmake does not get through."""

    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.root)
        shutil.copy(ROOT / "dev", self.root)
        (self.root / "tools").mkdir()
        shutil.copy(ROOT / "tools/count-results", self.root / "tools")
        (self.root / "packaging").mkdir()
        (self.root / "packaging/debian-packages").write_text("# none\n")
        stub = self.root / "bin/cmake"
        stub.parent.mkdir()
        stub.write_text("#!/bin/sh\necho it does not compile\nexit 1\n")
        stub.chmod(0o755)

    def run_dev(self, *arguments):
        environment = {**os.environ, "PATH": f"{self.root}/bin:{os.environ['PATH']}"}
        return subprocess.run([self.root / "dev", *arguments], env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)

    def test_a_build_that_fails_fails_the_tests(self):
        ran = self.run_dev("test", "seconds")
        self.assertIn("FAILED build release", ran.stdout)
        self.assertIn("it does not compile", ran.stdout)
        self.assertNotEqual(ran.returncode, 0)

    def test_nothing_is_tried_on_what_was_not_built(self):
        for verb in ("compat", "build", "run", "bench"):
            ran = self.run_dev(verb)
            self.assertIn("it does not compile", ran.stdout)
            counted = "0 passed, 1 failed, 0 skipped\n" if verb == "compat" else ""
            self.assertEqual(counted, "".join(re.findall(".* passed, .*\n", ran.stdout)))
            self.assertNotEqual(ran.returncode, 0, verb)


class Version(unittest.TestCase):
    def test_one_version(self):
        cmake = (ROOT / "CMakeLists.txt").read_text()
        header = (ROOT / "src/base/version.h").read_text()
        self.assertEqual(re.search(r"project\(.*VERSION ([\d.]+)\)", cmake)[1],
                         re.search(r'version_text = "([^"]+)"', header)[1])


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed, {len(result.skipped)} skipped")
    raise SystemExit(1 if bad else 0)
