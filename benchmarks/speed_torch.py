"""The models of `speed.py` in plain PyTorch: python speed_torch.py DATA CASE. Prints JSON; needs torch, numpy, soundfile and opencv."""

import json
import pathlib
import resource
import sys

import cv2
import numpy as np
import soundfile
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from speed import BATCH, STEPS, rate, rows_of  # noqa: E402


def block(a, b):
    return nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())


class Pooled(nn.Module):
    """Attention pooling by four learned queries."""

    def __init__(self, dim, out):
        super().__init__()
        self.kernel, self.norm, self.out = nn.Linear(dim, 4, bias=False), nn.LayerNorm(4 * dim), nn.Linear(4 * dim, out)

    def forward(self, x, mask=None):
        scores = self.kernel(x)
        scores = scores if mask is None else scores.masked_fill(~mask[..., None], -1e4)
        return self.out(self.norm(torch.einsum("btq,btd->bqd", scores.softmax(1), x).flatten(1)))


class Digits(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.body = nn.Sequential(block(1, 32), block(32, 32), nn.MaxPool2d(2), block(32, 64), block(64, 64), nn.MaxPool2d(2))
        self.dense, self.norm, self.pool = nn.Linear(64, 64), nn.LayerNorm(64), Pooled(64, classes)
        self.place = nn.Parameter(0.02 * torch.randn(49, 64))

    def forward(self, x):
        x = self.dense(self.body(x).flatten(2).transpose(1, 2)) + self.place
        return self.pool(F.gelu(self.norm(x)))


class Speech(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in ((1, 32), (32, 64), (64, 128)))
        self.dense, self.norm, self.pool = nn.Linear(5 * 128, 128), nn.LayerNorm(128), Pooled(128, classes)

    def forward(self, x, mask):
        x = x[:, None]
        for one in self.convolutions:
            x = F.relu(one(x * mask[:, None, :, None]))
            mask = mask[:, ::2]
        x = x.permute(0, 2, 1, 3).flatten(2)
        return self.pool(F.gelu(self.norm(self.dense(x))), mask)


class Residual(nn.Module):
    def __init__(self, a, b, stride):
        super().__init__()
        self.one, self.two = nn.BatchNorm2d(a), nn.BatchNorm2d(b)
        self.short = nn.Conv2d(a, b, 1, stride=stride, bias=False) if stride > 1 or a != b else None
        self.first, self.second = nn.Conv2d(a, b, 3, stride=stride, padding=1, bias=False), nn.Conv2d(b, b, 3, padding=1, bias=False)

    def forward(self, x):
        y = F.relu(self.one(x))
        x = self.short(y) if self.short is not None else x
        return x + self.second(F.relu(self.two(self.first(y))))


class Photos(nn.Module):
    def __init__(self, dim=128, vocab=1000):
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 5, stride=2, padding=2, bias=False)
        widths = (32, 64, 128, 256)
        self.stages = nn.Sequential(*(Residual(a, b, 1 if a == b == 32 else 2) for a, b in zip((32, *widths), widths)), nn.BatchNorm2d(256), nn.ReLU())
        self.dense, self.norm, self.place = nn.Linear(256, dim), nn.LayerNorm(dim), nn.Parameter(0.02 * torch.randn(16, dim))
        self.words = nn.Embedding(vocab, dim)
        layer = nn.TransformerEncoderLayer(dim, 4, 4 * dim, 0.1, "gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(dim), enable_nested_tensor=False)
        self.position = nn.Parameter(0.02 * torch.randn(48, dim))
        self.image, self.text, self.scale = Pooled(dim, 128), Pooled(dim, 128), nn.Parameter(torch.tensor(2.66))

    def forward(self, pixels, ids):
        x = self.stages(self.stem(pixels)).flatten(2).transpose(1, 2)
        a = F.normalize(self.image(F.gelu(self.norm(self.dense(x) + self.place))))
        mask = ids > 0
        b = F.normalize(self.text(self.encoder(self.words(ids) + self.position, src_key_padding_mask=~mask), mask))
        return self.scale.exp() * a @ b.T


class Rows(torch.utils.data.Dataset):
    def __init__(self, rows, case):
        self.rows, self.case, self.draw = rows, case, np.random.default_rng(0)
        self.classes = sorted({row.get("label") for row in rows} - {None})
        letters = sorted({letter for row in rows for caption in row.get("text:en", [])[:1] for letter in caption})
        self.letters = {letter: place + 1 for place, letter in enumerate(letters[:999])}
        if case == "speech":
            points = 700 * (np.exp(np.linspace(np.log1p(20 / 700), np.log1p(4000 / 700), 42)) - 1) / 4000 * 128
            places = np.arange(129)[:, None]
            self.bands = np.maximum(0, np.minimum((places - points[:-2]) / np.diff(points)[:-1], (points[2:] - places) / np.diff(points)[1:])).astype(np.float32)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, place):
        row = self.rows[place]
        if self.case == "digits":
            return cv2.imread(row["image"], cv2.IMREAD_GRAYSCALE)[None].astype(np.float32) / 255, self.classes.index(row["label"])
        if self.case == "speech":
            samples, _ = soundfile.read(row["audio"], dtype="float32")
            frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, (0, max(0, 200 - len(samples)))), 200)[::80][:300]
            mel = np.log(np.abs(np.fft.rfft(frames * np.hanning(200).astype(np.float32), 256)).astype(np.float32) ** 2 @ self.bands + 1e-6)
            return (mel - mel.mean()) / mel.std(), self.classes.index(row["label"])
        pixels = cv2.resize(cv2.cvtColor(cv2.imread(row["image"]), cv2.COLOR_BGR2RGB), (64, 64)).astype(np.float32) / 255
        caption = row["text:en"][self.draw.integers(5)]
        ids = np.zeros(48, np.int64)
        found = [self.letters.get(letter, 0) for letter in caption][:48]
        ids[: len(found)] = found
        return pixels.transpose(2, 0, 1).copy(), ids


def together(batch):
    first, second = zip(*batch)
    if first[0].ndim == 2:  # Recordings.
        value, mask = np.zeros((len(first), max(map(len, first)), 40), np.float32), np.zeros((len(first), max(map(len, first))), bool)
        for row, one in enumerate(first):
            value[row, : len(one)], mask[row, : len(one)] = one, True
        return torch.from_numpy(value), torch.from_numpy(mask), torch.tensor(second)
    return torch.from_numpy(np.stack(first)), torch.from_numpy(np.stack(second)) if isinstance(second[0], np.ndarray) else torch.tensor(second)


def main():
    data, case = pathlib.Path(sys.argv[1]), sys.argv[2]
    model = {"digits": Digits, "speech": Speech, "photos": Photos}[case]()
    loader = torch.utils.data.DataLoader(Rows(rows_of(data, case), case), BATCH[case], shuffle=True, drop_last=True, num_workers=2, collate_fn=together, persistent_workers=True)
    optimizer = torch.optim.AdamW(model.parameters())

    def endless():
        while True:
            yield from loader

    batches = endless()

    def run(steps):
        for _ in range(steps):
            batch = next(batches)
            if case == "photos":
                logits = model(*batch)
                target = torch.arange(len(logits))
                loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
            else:
                loss = F.cross_entropy(model(*batch[:-1]), batch[-1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    found = {"end to end": rate(run, STEPS[case], BATCH[case]), "parameters": sum(one.numel() for one in model.parameters())}
    print(json.dumps(found | {"GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))


if __name__ == "__main__":
    main()
