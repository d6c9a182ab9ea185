"""How fast is training, beside the same model in plain Keras and in plain PyTorch? And how fast is the server, beside the SavedModel itself?

    python benchmarks/speed.py DATA [--out saved_models/speed] [--torch PYTHON] [--only digits speech photos server]

DATA is a folder with the tables `mnist`, `fsdd` and `flickr8k`. Each measurement is a process of its own, one after the other, on the same rows, with the same sizes of model
and batch.
PYTHON is an interpreter that has torch, numpy, soundfile and opencv; without it the last column stays empty.

    digits   pictures of 28 pixels, a convolutional network
    speech   log-mel of spoken digits, a convolutional network
    photos   photos of 64 pixels and captions, a residual network and a Transformer, contrastive loss

    ours     `cross_modal`: featurized once and kept, speech and captions in batches of like length (`bucket_by`)
    Keras    the same `keras.Model`, compiled by its name, on files read, decoded and featurized anew each epoch by a plain tf.data pipeline
    PyTorch  the same layers in a plain script with a DataLoader of two workers
"""

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import threading
import time

STEPS = {"digits": 120, "speech": 60, "photos": 24}
BATCH = {"digits": 128, "speech": 64, "photos": 128}
ROWS = {"digits": 8000, "speech": 2700, "photos": 3000}
TABLES = {"digits": "mnist", "speech": "fsdd", "photos": "flickr8k"}
BUCKETS = {"speech": "audio", "photos": "text"}
KEYS = {
    "digits": {"features": {"image": {"size": [28, 28], "channels": 1}, "label": {}}, "towers.image": {"kind": "cnn", "widths": [32, 64]}, "options.dim": 64},
    "speech": {"features": {"audio": {"bins": 40, "seconds": 3}, "label": {}}, "towers.audio": {"kind": "cnn", "widths": [32, 64, 128]}},
    "photos": {
        "features": {"image": {"size": [64, 64], "fit": "stretch"}, "text": {"units": "characters", "length": 48}},
        "towers": {"image": {"kind": "resnet", "stem": 2, "depth": 1}, "text": {"kind": "transformer"}},
    },
}


def rows_of(data, case):
    rows = [json.loads(line) for line in (data / TABLES[case] / "items.jsonl").open(encoding="utf-8")][: ROWS[case]]
    return [{key: str(data / TABLES[case] / value) if key in ("image", "audio") else value for key, value in row.items()} for row in rows]


def rate(function, steps, size):
    """Examples a second after a first few steps, the best of three times: what else the machine does only takes away."""
    function(max(4, steps // 10))
    spent = []
    for _ in range(3):
        began = time.monotonic()
        function(steps // 2)
        spent.append(time.monotonic() - began)
    return steps // 2 * size / min(spent)


def made(data, out, case):
    """The task, and the dataset that it reads."""
    from cross_modal import config
    from cross_modal.data import ingest

    folder = out / case
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "items.jsonl"
    wanted = ("id", "image", "audio", "label", "text:en")
    lines = [json.dumps({key: value for key, value in row.items() if key in wanted} | {"split": "train"}) for row in rows_of(data, case)]
    table.write_text("\n".join(lines), encoding="utf-8")
    for kind in ("image", "audio"):
        if (data / TABLES[case] / kind).exists() and not (folder / kind).exists():
            (folder / kind).mkdir()
            for row in rows_of(data, case):
                if kind in row:
                    (folder / kind / pathlib.Path(row[kind]).name).write_bytes(pathlib.Path(row[kind]).read_bytes())
    dataset = ingest(rewritten(table), folder / "dataset", fractions=(1, 0, 0), max_bad=0.05, progress=False)
    given = {"dataset": str(dataset.path), "task": "alignment" if case == "photos" else "classification"}
    full = config.resolve(config.set_keys(given, [f"{key}={json.dumps(value)}" for key, value in KEYS[case].items()]))
    features, languages = config.make_features(full)
    return dataset, config.make_task(full, features, languages)


def rewritten(table):
    """Media as paths beside the table."""
    rows = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines()]
    rows = [{key: f"{key}/{pathlib.Path(value).name}" if key in ("image", "audio") else value for key, value in row.items()} for row in rows]
    table.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return table


def ours(data, out, case, precision):
    from cross_modal import training
    from cross_modal.data import batches

    dataset, task = made(data, out, case)
    size = BATCH[case]
    train = batches(dataset, "train", task.features, task.languages, size, draws=task.draws, seed=0, bucket_by=BUCKETS.get(case)).map(task.example)
    model = training._build(task, precision)
    model.compile(optimizer="adamw", jit_compile="auto", **task.objective())
    model.optimizer.build(model.trainable_variables)
    iterator = iter(train)
    found = {"input": rate(lambda steps: [next(iterator) for _ in range(steps)], 4 * STEPS[case], size)}
    kept = train.take(1).cache().repeat()
    found["model alone"] = rate(lambda steps: model.fit(kept, steps_per_epoch=steps, verbose=0, shuffle=False), STEPS[case], size)
    found["end to end"] = rate(lambda steps: model.fit(train, steps_per_epoch=steps, verbose=0, shuffle=False), STEPS[case], size)
    return found | {"parameters": model.count_params()}


def keras(data, out, case):
    """The model of ours; everything else as the tutorials of Keras have it."""
    import tensorflow as tf

    dataset, task = made(data, out, case)
    rows, size = rows_of(data, case), BATCH[case]
    classes = sorted({row.get("label") for row in rows} - {None})

    def field(value, mask, views):
        value = {"value": value, "mask": mask, "language": tf.zeros((), tf.int32)}
        return {key: one[None] for key, one in value.items()} if views else value

    if case == "digits":
        source = tf.data.Dataset.from_tensor_slices(([row["image"] for row in rows], [classes.index(row["label"]) for row in rows]))

        def example(path, label):
            pixels = tf.cast(tf.io.decode_png(tf.io.read_file(path), channels=1), tf.float32) / 255.0
            return {"image": field(tf.ensure_shape(pixels, (28, 28, 1)), tf.ones(1, tf.bool), False)}, {"label": tf.one_hot(label, len(classes))}

    elif case == "speech":
        source = tf.data.Dataset.from_tensor_slices(([row["audio"] for row in rows], [classes.index(row["label"]) for row in rows]))
        bands = tf.signal.linear_to_mel_weight_matrix(40, 129, 8000, 20.0, 4000.0)

        def example(path, label):
            samples = tf.audio.decode_wav(tf.io.read_file(path), 1)[0][:, 0]
            frames = tf.math.log(tf.abs(tf.signal.stft(samples, 200, 80, 256)) ** 2 @ bands + 1e-6)[:300]
            frames = (frames - tf.reduce_mean(frames)) / tf.math.reduce_std(frames)
            return {"audio": field(frames, tf.ones(tf.shape(frames)[:1], tf.bool), False)}, {"label": tf.one_hot(label, len(classes))}

    else:
        source = tf.data.Dataset.from_tensor_slices(([row["image"] for row in rows], [row["text:en"] for row in rows], list(range(len(rows)))))
        words = tf.keras.layers.TextVectorization(max_tokens=1000, split="character", output_sequence_length=48)
        words.adapt([row["text:en"][0] for row in rows])

        def example(path, captions, number):
            pixels = tf.image.resize(tf.io.decode_jpeg(tf.io.read_file(path), channels=3), (64, 64)) / 255.0
            ids = tf.cast(words(captions[tf.random.uniform((), 0, 5, tf.int32)]), tf.int32)
            x = {"image": field(pixels, tf.ones(1, tf.bool), True), "text": field(ids, ids > 0, True)}
            kinds = [task.kinds.index("image"), task.kinds.index("text:en")]
            return x, tf.stack([[kinds[0], number, number], [kinds[1], number, number + len(rows)]])

    shuffled = source.shuffle(len(rows)).map(example, num_parallel_calls=tf.data.AUTOTUNE).repeat()
    train = shuffled.padded_batch(size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
    model = task.build()
    model.compile(optimizer="adamw", **task.objective())
    return {"end to end": rate(lambda steps: model.fit(train, steps_per_epoch=steps, verbose=0), STEPS[case], size), "parameters": model.count_params()}


def server(data, out):
    """Requests a second of `cross-modal serve`, one picture each, from 1 and from 32 clients; and of the SavedModel, called from Python."""
    import http.client
    import socket

    import tensorflow as tf

    from cross_modal import config, exporting

    dataset, task = made(data, out, "digits")
    folder = exporting.export(task, task.build(), out / "digits" / "export")
    del config, dataset
    payloads = [pathlib.Path(row["image"]).read_bytes() for row in rows_of(data, "digits")[:256]]
    endpoint = exporting.load(folder)["serving_default"]

    def call(count):
        for number in range(count):
            endpoint(image=tf.constant([payloads[number % 256]]), image_language=tf.constant([""]))

    call(20)
    began = time.monotonic()
    call(400)
    found = {"SavedModel, one at a time": 400 / (time.monotonic() - began)}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "cross_modal", "serve", str(folder), "--name", "digits", "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        import base64

        bodies = [json.dumps({"instances": [{"image": {"b64": base64.b64encode(one).decode()}, "image_language": ""}]}) for one in payloads]

        def client(count, done):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            for number in range(count):
                connection.request("POST", "/v1/models/digits:predict", bodies[number % 256], {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                done.append(answer.status)
            connection.close()

        for _ in range(240):
            try:
                client(5, [])
                break
            except OSError:
                time.sleep(0.5)
        for clients, count in ((1, 400), (32, 60)):
            done = []
            threads = [threading.Thread(target=client, args=(count, done)) for _ in range(clients)]
            began = time.monotonic()
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            if len(done) != clients * count or set(done) != {200}:
                raise SystemExit(f"expected {clients * count} answers with status 200, received {len(done)} with {set(done)}")
            found[f"server, {clients} client{'s' if clients > 1 else ''}"] = clients * count / (time.monotonic() - began)
        status = pathlib.Path(f"/proc/{process.pid}/status")
        if status.exists():
            found["server, peak GiB"] = int(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))) / 2**20
    finally:
        process.terminate()
        process.wait()
    return found


def measure(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default="saved_models/speed", help="folder (%(default)s)")
    parser.add_argument("--torch", help="interpreter that has PyTorch")
    parser.add_argument("--only", nargs="+", choices=[*STEPS, "server"], default=[*STEPS, "server"], help="some of it (all)")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        what, case = options.one
        kinds = {"ours": lambda: ours(options.data, options.out, case, "float32"), "bfloat16": lambda: ours(options.data, options.out, case, "mixed_bfloat16")}
        kinds |= {"keras": lambda: keras(options.data, options.out, case), "server": lambda: server(options.data, options.out)}
        found = kinds[what]()
        print(json.dumps(found | {"GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))
        return
    base = [sys.executable, __file__, str(options.data), "--out", str(options.out), "--one"]
    print("| examples/s | parameters | ours | with bfloat16 | Keras | PyTorch | ours / Keras | ours / PyTorch | input alone / model alone | GiB: ours, Keras, PyTorch |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for case in [one for one in STEPS if one in options.only]:
        found = {what: measure([*base, what, case]) for what in ("ours", "bfloat16", "keras")}
        peer = pathlib.Path(__file__).with_name("speed_torch.py")
        found["torch"] = measure([options.torch, str(peer), str(options.data), case]) if options.torch else None
        best = max(found["ours"]["end to end"], found["bfloat16"]["end to end"])
        torch = found["torch"] or {"end to end": float("nan"), "GiB": float("nan")}
        cells = [case, f"{found['ours']['parameters']:,}", *(f"{one['end to end']:,.0f}" for one in (found["ours"], found["bfloat16"], found["keras"], torch))]
        cells += [f"{best / found['keras']['end to end']:.2f}", f"{best / torch['end to end']:.2f}", f"{found['ours']['input'] / found['ours']['model alone']:.1f}"]
        print(f"| {' | '.join(cells)} | {found['ours']['GiB']:.1f}, {found['keras']['GiB']:.1f}, {torch['GiB']:.1f} |", flush=True)
    if "server" not in options.only:
        return
    print("\n| requests | a second |\n|---|---|")
    for name, value in measure([*base, "server", "digits"]).items():
        if name != "GiB":
            print(f"| {name} | {value:,.1f} |")


if __name__ == "__main__":
    main()
