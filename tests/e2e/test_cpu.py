#!/usr/bin/env python3
"""mote cpu, and the mask of processor features in MOTE_CPU: what it says, and that it governs what runs."""
import json
import os

from e2e_support import Case, environment, main, mote

COMMAND = "turn on the kitchen light"


def masked(mask, *words):
    return mote(*words, env=environment(MOTE_CPU=mask))


class Cpu(Case):
    def told(self, mask=None):
        return json.loads(self.expect_done(masked(mask, "cpu", "--json")).out)

    def test_lines_and_json_agree(self):
        told = self.told()
        lines = self.expect_done(mote("cpu")).out
        for name in ("architecture", "name", "features"):
            self.assertIn(told[name], lines)
        self.assertTrue(1 <= told["threads"] <= told["processors"] <= len(os.sched_getaffinity(0)))
        self.assertRegex(lines, rf"(?m)^processors +{told['processors']}$")
        kernels = told["kernels"]
        self.assertGreater(len(kernels["matmul"]), 10)
        for weight_format, kernel in kernels["matmul"].items():
            packed = kernels["packed_matmul"].get(weight_format, "")
            self.assertRegex(lines, rf"(?m)^  {weight_format} +{kernel}{f' +{packed}' if packed else ''}$")
        for operation in ("keys", "values", "softmax", "vectors"):
            for number_format, kernel in kernels[operation].items():
                self.assertRegex(lines, rf"(?m)^{operation} +kernel(.|\n)*\n  {number_format} +{kernel}$")
        self.assertNotRegex(lines, r"(?m)[ \t]+$")

    def test_generic_masks_everything(self):
        told = self.told("generic")
        self.assertEqual(told["features"], "")
        self.assertEqual(told["masked"], self.told()["features"])
        for formats in told["kernels"].values():
            self.assertEqual(set(formats.values()), {"generic"})
        self.assertIn("none that mote uses", masked("generic", "cpu").out)

    def test_each_feature_masks_those_after_it(self):
        features = self.told()["features"].split()
        for i, feature in enumerate(features):
            told = self.told(feature)
            self.assertEqual(told["features"].split(), features[:i + 1])
            self.assertEqual(told["masked"].split(), features[i + 1:])
        if len(features) > 1:
            self.assertEqual(self.told(f"{features[-1]},{features[0]}")["features"].split(), [features[0], features[-1]])

    def test_every_mask_answers(self):
        for mask in ("generic", "", *self.told()["features"].split()):
            self.assertIn('"turn_on"', self.expect_done(masked(mask, "run", "-q", COMMAND)).out, mask)

    def test_wrong_masks(self):
        for mask in ("none", "AVX2", ",", " generic", "generic,", "generic,nonsense", "x" * 5000, "\x1b[31m"):
            for words in (("cpu",), ("run", "-q", COMMAND), ("info",), ("cpu", "--json")):
                result = masked(mask, *words)
                line = self.expect_error(result, 2, "MOTE_CPU: '", "is no processor feature; choose from: generic")
                self.assertTrue(line.isprintable())
                self.assertEqual(result.out, "")
        self.expect_done(masked("nonsense", "help", "cpu"))
        self.expect_done(masked("nonsense", "cpu", "--help"))

    def test_fewer_processors_allowed(self):
        one = min(os.sched_getaffinity(0))
        result = self.expect_done(mote("cpu", "--json", preexec_fn=lambda: os.sched_setaffinity(0, {one})))
        told = json.loads(result.out)
        self.assertEqual((told["processors"], told["threads"]), (1, 1))


if __name__ == "__main__":
    main()
