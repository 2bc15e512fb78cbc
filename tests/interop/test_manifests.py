#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Manifests against the Kubernetes schemas, and against the programs that they start.

usage: test_manifests.py BIN SOURCE. Every deploy/*/ with a kustomization.yaml is rendered (kustomize, from the module proxy), every
solutions/*/kubernetes.yaml taken as it is. Strict: a member that no schema knows fails. Then: what a container's program does not take as an
option fails, and so does a container that could do more than it needs.
"""
import copy
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib

import interop_venv

interop_venv.enter("requirements-manifests")
import kubernetes_validate  # noqa: E402
import yaml  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
VERSIONS = ("1.31", "1.36")
WORKLOADS = ("Deployment", "StatefulSet", "Job")


def build_kustomize(program):
    cache = pathlib.Path(os.environ.get("CCZOO_CACHE") or os.path.expanduser("~/.cache/cczoo")) / "go"
    env = dict(os.environ, GOMODCACHE=str(cache / "mod"), GOCACHE=str(cache / "build"), GOTOOLCHAIN="local",
               GOFLAGS="-mod=readonly -modcacherw -buildvcs=false", CGO_ENABLED="0")
    made = shutil.which("go") and subprocess.run(["go", "build", "-o", program, "."], cwd=HERE / "kustomize", env=env,
                                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if not made or made.returncode:
        why = made.stderr.decode().split() if made else ["go is not installed"]
        print("skipped: kustomize cannot be built: %s" % " ".join(why)[-300:])
        sys.exit(77)


def schema_errors(resource):
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(resource, version, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as e:
            yield "%s: %s" % (version, e.message)


class Programs:
    """What our programs take, by their own words."""

    def __init__(self, folder):
        self.folder, self.texts = pathlib.Path(folder), {}

    def options(self, words):
        if words not in self.texts:
            run = subprocess.run([self.folder / words[0], *words[1:], "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.texts[words] = set(re.findall(r"(?<![\w-])--[a-z0-9-]+", run.stdout))
        return self.texts[words]

    def errors(self, words, args):
        if not (self.folder / words[0]).exists():
            return  # no TensorFlow or libpq here
        for arg in args:
            option = arg.split("=")[0]
            if option.startswith("--") and option not in self.options(words):
                yield "%s does not take %s" % (" ".join(words), option)


def command_of(container):
    """(words of the program and its command, its arguments), or None for what is not ours."""
    words = [w for part in container.get("command", []) for w in part.split()]
    args = container.get("args", [])
    for i, word in enumerate(words):
        if word.startswith("cczoo"):
            verb = [w for w in words[i + 1:] if re.fullmatch(r"[a-z]+", w)]
            return tuple([word] + verb), [w for w in words[i + 1:] if w.startswith("--") and w != "--"] + args
    if words:
        return None
    program = re.search(r"/(cczoo[\w-]*):", container["image"]).group(1)
    verb = args[:1] if args and not args[0].startswith("-") else []
    return tuple([program] + verb), args[len(verb):]


def container_errors(container, programs):
    secure = container.get("securityContext", {})
    if secure.get("allowPrivilegeEscalation") is not False or secure.get("readOnlyRootFilesystem") is not True or \
            secure.get("capabilities") != {"drop": ["ALL"]}:
        yield "it may do more than it needs: %s" % secure
    if not container.get("resources", {}).get("limits", {}).get("memory"):
        yield "no limit of memory"
    if not re.search(r":\d+\.\d+\.\d+$", container["image"]):
        yield "an image without a version: %s" % container["image"]
    command = command_of(container)
    if command:
        yield from programs.errors(*command)


def pod_errors(resource, programs):
    pod = resource["spec"]["template"]["spec"]
    if not pod.get("securityContext", {}).get("runAsNonRoot"):
        yield "it runs as root"
    if pod.get("automountServiceAccountToken") is not False:
        yield "it gets a token of the cluster"
    volumes = {v["name"] for v in pod.get("volumes", [])} | {v["metadata"]["name"] for v in resource["spec"].get("volumeClaimTemplates", [])}
    used = set()
    for container in pod.get("initContainers", []) + pod["containers"]:
        mounts = {m["name"] for m in container.get("volumeMounts", [])}
        used |= mounts
        for error in list(container_errors(container, programs)) + ["no volume %s" % m for m in sorted(mounts - volumes)]:
            yield "container %s: %s" % (container["name"], error)
    for name in sorted(volumes - used):
        yield "nothing uses volume %s" % name


def errors(resources, programs):
    for r in resources:
        found = list(schema_errors(r))
        if r["kind"] in WORKLOADS:
            found += pod_errors(r, programs)
        for e in found:
            yield "%s/%s: %s" % (r["kind"], r["metadata"]["name"], e)


def gramine_errors(template, programs):
    """A Gramine manifest: readable for both commands, its command line measured and known to the program."""
    for command in ("init", "run"):
        text = re.sub(r"\{% if command == \"init\" %\}(.*?)\{% else %\}(.*?)\{% endif %\}", r"\1" if command == "init" else r"\2",
                      template.read_text(), flags=re.S)
        text = text.replace("{{ command }}", command)
        text = re.sub(r"= \{\{ 'true' if .*? \}\}", "= false", text)
        manifest = tomllib.loads(re.sub(r"\{\{.*?\}\}", "x", text))
        argv = manifest["loader"].get("argv", [])
        if argv[:2] != ["cczoo-kmsd", command] or "insecure__use_cmdline_argv" in manifest["loader"]:
            yield "the command line is the host's: %s" % argv
        if manifest["sgx"]["debug"] or any(a.startswith("--trust-sim") for a in argv):
            yield "anybody may look in, or come in"
        yield from programs.errors(tuple(argv[:2]), argv[2:])


def damaged(resources):
    """Copies with one thing wrong each; what the checks are for."""
    def change(what, fn):
        bad = copy.deepcopy(resources)
        pod = next(r for r in bad if r["kind"] in WORKLOADS)["spec"]["template"]["spec"]
        fn(pod, pod["containers"][0])
        return what, bad
    yield change("member of no schema", lambda pod, c: pod.update(serviceacountName="kms"))
    yield change("wrong type", lambda pod, c: c["ports"][0].update(containerPort="7443"))
    yield change("option of no program", lambda pod, c: c["args"].append("--trust-everybody"))
    yield change("root", lambda pod, c: pod["securityContext"].pop("runAsNonRoot"))
    yield change("writable root", lambda pod, c: c["securityContext"].pop("readOnlyRootFilesystem"))
    yield change("volume of nobody", lambda pod, c: c["volumeMounts"].append({"name": "nobody", "mountPath": "/x"}))
    yield change("latest", lambda pod, c: c.update(image="registry.example/cczoo-kmsd:latest"))


def main():
    binaries, source = sys.argv[1], pathlib.Path(sys.argv[2])
    programs, failed, count = Programs(binaries), [], 0
    with tempfile.TemporaryDirectory() as scratch:
        kustomize = os.path.join(scratch, "kustomize")
        build_kustomize(kustomize)
        sets = {str(p): list(yaml.safe_load_all(p.read_text())) for p in sorted(source.glob("solutions/*/kubernetes.yaml"))}
        for path in sorted(source.glob("deploy/*/*/kustomization.yaml")):
            if yaml.safe_load(path.read_text())["kind"] == "Kustomization":
                run = subprocess.run([kustomize, path.parent], stdout=subprocess.PIPE, check=True)
                sets[str(path.parent)] = list(yaml.safe_load_all(run.stdout))
    for name, resources in sets.items():
        count += len(resources)
        failed += ["%s: %s" % (name, e) for e in errors(resources, programs)]
    for template in sorted(source.glob("deploy/*/*/*.manifest.template")):
        failed += ["%s: %s" % (template, e) for e in gramine_errors(template, programs)]
    whole = sets[str(source / "deploy/kms/tdx")]
    failed += ["not noticed: %s" % what for what, bad in damaged(whole) if not list(errors(bad, programs))]
    if count < 20:
        failed.append("%d resources found" % count)
    print("\n".join(failed) or "%d resources of %d sets" % (count, len(sets)))
    sys.exit(1 if failed else 0)


main()
