"""Source text of models that the profile tests write into a folder: healthy ones, and ones with a planted fault."""

MODELS = """
import os
import time
import torch
from torch import nn


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 4))

    def forward(self, features):
        return self.layers(features)


class Sorting(Head):
    def forward(self, features):
        torch.rand(400_000).sort()
        return super().forward(features)


class Sleeping(Head):
    def forward(self, features):
        time.sleep(0.2)
        return super().forward(features)


class Copying(Head):
    def forward(self, features):
        return super().forward(features.cpu().to(features.device))


class Broken(Head):
    def forward(self, features):
        if features.sum().item() > 0:
            print("noise on standard output")
        return super().forward(features)


def healthy():
    torch.manual_seed(0)
    return Head(), torch.randn(64, 256)


def sorting():
    return Sorting(), torch.randn(64, 256)


def sleeping():
    return Sleeping(), torch.randn(64, 256)


def copying():
    return Copying(), torch.randn(64, 256)


def named():
    return Head(), {"features": torch.randn(8, 256)}


def bare():
    return Head()


def compiled():
    return torch.compile(Broken(), backend="eager"), torch.randn(64, 256)


def wrong_shape():
    return Head(), torch.randn(64, 3)


def endless():
    class Endless(Head):
        def forward(self, features):
            open(os.environ["ENDLESS_MARK"], "w").close()
            while True:
                time.sleep(0.01)

    return Endless(), torch.randn(64, 256)


def deadly():
    os.kill(os.getpid(), 9)


def save():
    model, example = healthy()
    torch.jit.trace(model, example).save("scripted.pt")
    torch.export.save(torch.export.export(model, (example,)), "exported.pt2")
    torch.save(model.state_dict(), "state.pt")
    torch.save(model, "whole.pt")
"""
