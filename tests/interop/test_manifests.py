#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Manifests against the Kubernetes schemas, and against the programs that they start.

usage: test_manifests.py BIN SOURCE. Every deploy/*/ with a kustomization.yaml is rendered (kustomize, from the module proxy), every
solutions/*/kubernetes.yaml taken as it is. Strict: a member that no schema knows fails. Then: what a container's program does not take as an
option fails, and so does a container that could do more than it needs, a name that stands for nothing (ports, targets, metrics), and an enclave
whose command line, engine or idea of whom to trust is not measured. Copies with one thing wrong each show that the checks check.
"""
import copy
import itertools
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
# What is told to gramine-manifest, with every value for which a template has a branch.
CHOICES = {"command": ("init", "run"), "engine": ("tensorflow", "onnxruntime")}
# Files that say whom to trust, or see every input; the framework of TensorFlow is loaded by its other library.
DECISIVE = ("--tensorflow", "--onnxruntime", "--kms-policy", "--client-policy", "--admin-key")
BESIDE = {"libtensorflow_cc.so.2": "libtensorflow_framework.so.2"}


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
            self.texts[words] = set(re.findall(r"(?<![\w-])--[a-z0-9_-]+", run.stdout))
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


def guest_errors(pod):
    """What a confidential guest believes in comes with its image, and from no volume: volumes are the host's."""
    if pod.get("runtimeClassName", "").startswith("kata"):
        for container in pod["containers"]:
            for option, _, path in (a.partition("=") for a in container.get("args", [])):
                if option in DECISIVE and any(path.startswith(m["mountPath"] + "/") for m in container.get("volumeMounts", [])):
                    yield "container %s: the host may change %s" % (container["name"], path)


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


def name_errors(resources, metrics):
    """Names that stand for something of the same set."""
    there = {(r["kind"], r["metadata"]["name"]) for r in resources}
    ports = set()
    for pod in (r["spec"]["template"]["spec"] for r in resources if r["kind"] in WORKLOADS):
        for container in pod["containers"]:
            own = {p["name"] for p in container.get("ports", [])}
            ports |= own | {p["containerPort"] for p in container.get("ports", [])}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                port = container.get(probe, {}).get("httpGet", {}).get("port", next(iter(own), None))
                if port not in own | {None}:
                    yield "%s asks port %s" % (probe, port)
    for r in resources:
        label, wanted = "%s/%s" % (r["kind"], r["metadata"]["name"]), []
        if r["kind"] == "Service":
            wanted = [p.get("targetPort", p["port"]) for p in r["spec"]["ports"]]
        elif r["kind"] == "NetworkPolicy":
            wanted = [p["port"] for rule in r["spec"].get("ingress", []) for p in rule.get("ports", [])]
        for port in wanted:
            if port not in ports:
                yield "%s: nobody has port %s" % (label, port)
        if r["kind"] == "HorizontalPodAutoscaler":
            target = r["spec"]["scaleTargetRef"]
            if (target["kind"], target["name"]) not in there:
                yield "%s: no %s %s" % (label, target["kind"], target["name"])
            for metric in (m["pods"]["metric"]["name"] for m in r["spec"]["metrics"] if m["type"] == "Pods"):
                if metric not in metrics:
                    yield "%s: no server has the metric %s" % (label, metric)


def errors(resources, programs, metrics, sealed=True):
    """@p sealed: guests believe in nothing of the host's; a solution says in words what it leaves to him."""
    for r in resources:
        found = list(schema_errors(r))
        if r["kind"] in WORKLOADS:
            found += pod_errors(r, programs)
            found += guest_errors(r["spec"]["template"]["spec"]) if sealed else []
        for e in found:
            yield "%s/%s: %s" % (r["kind"], r["metadata"]["name"], e)
    yield from name_errors(resources, metrics)


def gramine_renderings(text):
    """(choices, manifest) for each branch of a template."""
    names = [n for n in CHOICES if re.search(r"\b%s\b" % n, "".join(re.findall(r"\{[{%].*?[%}]\}", text)))]
    for values in itertools.product(*(CHOICES[n] for n in names)):
        chosen = dict(zip(names, values))
        one = re.sub(r"\{% if (\w+) == \"(\w+)\" %\}(.*?)\{% else %\}(.*?)\{% endif %\}",
                     lambda m: m.group(3) if chosen[m.group(1)] == m.group(2) else m.group(4), text, flags=re.S)
        for n, value in chosen.items():
            one = one.replace("{{ %s }}" % n, value)
        one = re.sub(r"= \{\{ 'true' if .*? \}\}", "= false", one)
        yield chosen, tomllib.loads(re.sub(r"\{\{.*?\}\}", "x", one))


def measured_errors(argv, manifest):
    trusted, allowed = manifest["sgx"]["trusted_files"], manifest["sgx"].get("allowed_files", [])
    files = [manifest["libos"]["entrypoint"]] + [a.split("=", 1)[1] for a in argv if a.split("=")[0] in DECISIVE]
    files += [str(pathlib.PurePath(f).with_name(BESIDE[pathlib.PurePath(f).name])) for f in files if pathlib.PurePath(f).name in BESIDE]
    for f in files:
        if "file:" + f not in trusted:
            yield "not measured: %s" % f
        if any(("file:" + f).startswith(a) for a in allowed):
            yield "the host may change %s" % f


def gramine_errors(text, programs):
    """A Gramine manifest: readable in every branch, its command line measured and known to the program, and what decides too."""
    for chosen, manifest in gramine_renderings(text):
        argv = manifest["loader"].get("argv", [])
        words = [pathlib.PurePath(manifest["libos"]["entrypoint"]).name] + [chosen[n] for n in ("command",) if n in chosen]
        if argv[:len(words)] != words or "insecure__use_cmdline_argv" in manifest["loader"]:
            yield "the command line is the host's: %s" % argv
        if manifest["sgx"]["debug"] or any("insecure" in a or a.startswith("--trust-sim") for a in argv):
            yield "anybody may look in, or come in"
        size = int(re.fullmatch(r"(\d+)[MG]", manifest["sgx"]["enclave_size"]).group(1))
        if size & (size - 1):
            yield "Gramine wants a power of two: %s" % manifest["sgx"]["enclave_size"]
        yield from measured_errors(argv, manifest)
        yield from programs.errors(tuple(words), argv[len(words):])


def damaged(resources):
    """Copies with one thing wrong each; what the checks are for."""
    def change(what, fn):
        bad = copy.deepcopy(resources)
        pod = next(r for r in bad if r["kind"] in WORKLOADS)["spec"]["template"]["spec"]
        fn(pod, pod["containers"][0])
        return what, bad

    def with_option(what, option, fn):
        return [change(what, fn)] if any(a.startswith(option) for r in resources if r["kind"] in WORKLOADS
                                         for a in r["spec"]["template"]["spec"]["containers"][0]["args"]) else []

    def of_kind(what, kind, fn):
        bad = copy.deepcopy(resources)
        for r in bad:
            if r["kind"] == kind:
                fn(r["spec"])
        return [(what, bad)] if bad != resources else []
    yield change("member of no schema", lambda pod, c: pod.update(serviceacountName="kms"))
    yield change("wrong type", lambda pod, c: c["ports"][0].update(containerPort="7443"))
    yield change("option of no program", lambda pod, c: c["args"].append("--trust-everybody"))
    yield change("half an option", lambda pod, c: c["args"].append("--model=/models"))
    yield change("root", lambda pod, c: pod["securityContext"].pop("runAsNonRoot"))
    yield change("writable root", lambda pod, c: c["securityContext"].pop("readOnlyRootFilesystem"))
    yield change("volume of nobody", lambda pod, c: c["volumeMounts"].append({"name": "nobody", "mountPath": "/x"}))
    yield change("latest", lambda pod, c: c.update(image="registry.example/cczoo-kmsd:latest"))
    yield change("probe of no port", lambda pod, c: c["readinessProbe"]["httpGet"].update(port="htps"))
    yield from with_option("policy of the host", "--kms-policy=", lambda pod, c: c["volumeMounts"].append({"name": "models", "mountPath": "/etc/cczoo"}))
    yield from of_kind("port of nobody", "Service", lambda spec: spec["ports"][0].update(port=7444))
    yield from of_kind("closed to all", "NetworkPolicy", lambda spec: spec["ingress"][0]["ports"][0].update(port="grcp"))
    yield from of_kind("scales nothing", "HorizontalPodAutoscaler", lambda spec: spec["scaleTargetRef"].update(name="served"))
    yield from of_kind("scales by nothing", "HorizontalPodAutoscaler",
                       lambda spec: spec["metrics"][0]["pods"]["metric"].update(name="cczoo_served_queue"))


def damaged_manifest(text):
    """The same of a Gramine manifest."""
    def change(what, pattern, by):
        bad, n = re.subn(pattern, by, text, flags=re.M)
        return [(what, bad)] if n else []
    yield from change("arguments of the host", r"^loader\.argv = \[", "loader.insecure__use_cmdline_argv = true\nloader.argv = [")
    yield from change("another program", r"^libos\.entrypoint = .*", 'libos.entrypoint = "/bin/sh"')
    yield from change("debugger", r"^sgx\.debug = false", "sgx.debug = true")
    yield from change("software TEE", r'"--tee=gramine",', r'\g<0> "--trust-sim=/x",')
    yield from change("option of no program", r'"--tee=gramine",', r'\g<0> "--model_config_fiel=/x",')
    yield from change("models of anybody", r'"--tee=gramine",', r'\g<0> "--models-in-clear-insecure",')
    yield from change("odd size", r"^sgx\.enclave_size = .*", 'sgx.enclave_size = "3G"')
    yield from change("program not measured", r'^  "file:/usr/local/bin/[\w-]+",\n', "")
    yield from change("first administrator not measured", r'^  "file:[^"]*admin\.pub",\n', "")
    yield from change("policy not measured", r'^  "file:[^"]*policy\.json",\n', "")
    yield from change("engine not measured", r'^  "file:[^"]*libonnxruntime[^"]*",\n', "")
    yield from change("half of TensorFlow not measured", r'^  "file:[^"]*framework[^"]*",\n', "")
    yield from change("program of the host", r"^sgx\.allowed_files = \[", r'\g<0>\n  "file:/usr/local/bin/",')
    if "/opt/engine/" in text:
        yield from change("engine of the host", r"^sgx\.allowed_files = \[", r'\g<0>\n  "file:/opt/engine/",')


def main():
    binaries, source = sys.argv[1], pathlib.Path(sys.argv[2])
    programs, failed, count = Programs(binaries), [], 0
    metrics = set(re.findall(r"`(cczoo_serve_\w+)", (source / "docs/reference/serving-metrics.md").read_text()))
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
        failed += ["%s: %s" % (name, e) for e in errors(resources, programs, metrics, pathlib.Path(name).is_relative_to(source / "deploy"))]
    for name in ("deploy/kms/tdx", "deploy/serving/tdx"):
        failed += ["%s: not noticed: %s" % (name, what) for what, bad in damaged(sets[str(source / name)]) if not list(errors(bad, programs, metrics))]
    for template in sorted(source.glob("deploy/*/*/*.manifest.template")):
        text = template.read_text()
        failed += ["%s: %s" % (template, e) for e in gramine_errors(text, programs)]
        failed += ["%s: not noticed: %s" % (template, what) for what, bad in damaged_manifest(text) if not list(gramine_errors(bad, programs))]
    if count < 20:
        failed.append("%d resources found" % count)
    print("\n".join(failed) or "%d resources of %d sets" % (count, len(sets)))
    sys.exit(1 if failed else 0)


main()
