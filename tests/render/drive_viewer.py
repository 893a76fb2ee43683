#!/usr/bin/env python3
"""Drives the viewer's window as a user does: a display without a screen (Xvfb), keys and mouse (xdotool).

    drive_viewer.py --binary build/release/tools/nearmiss [--pictures DIR]

The window's title tells the viewer's state: each action is followed by waiting for the title that it must lead to. Each
function leaves a screenshot of the viewer's own in DIR (default: a scratch folder that is removed), and two functions
must not look the same. Ends with 77 (skipped), saying why, where Xvfb or xdotool is missing or Xvfb has no OpenGL 3.3.
"""

import argparse
import ctypes
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
PATIENCE = 20.0


class Failure(Exception):
    pass


def start_display():
    """Xvfb on a number of its own choosing. It must not reset when one viewer ends, or the next finds nobody there."""
    read, write = os.pipe()
    server = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "1400x900x24", "-nolisten", "tcp",
                               "-noreset"],
                              pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as pipe:
        number = pipe.readline().strip()
    if not number:
        server.kill()
        raise Failure("Xvfb did not start")
    return server, f":{number}"


class ClientMessage(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send_event", ctypes.c_int),
                ("display", ctypes.c_void_p), ("window", ctypes.c_ulong), ("message_type", ctypes.c_ulong),
                ("format", ctypes.c_int), ("data", ctypes.c_long * 5), ("room", ctypes.c_long * 24)]


def press_close_button(display, window):
    """What a window manager does for its close button. There is none here, and older xdotools cannot."""
    x = ctypes.CDLL("libX11.so.6")
    x.XOpenDisplay.restype = ctypes.c_void_p
    x.XInternAtom.restype = ctypes.c_ulong
    connection = ctypes.c_void_p(x.XOpenDisplay(display.encode()))
    event = ClientMessage(type=33, window=window, format=32,
                          message_type=x.XInternAtom(connection, b"WM_PROTOCOLS", 0))
    event.data[0] = x.XInternAtom(connection, b"WM_DELETE_WINDOW", 0)
    x.XSendEvent(connection, ctypes.c_ulong(window), 0, ctypes.c_long(0), ctypes.byref(event))
    x.XCloseDisplay(connection)


class Window:
    def __init__(self, command, environment, folder):
        self.environment = environment
        self.folder = folder
        self.binary = command[0]
        self.process = subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.id = None
        self.pictures = []
        limit = time.monotonic() + PATIENCE
        while self.id is None:
            found = self.xdotool("search", "--name", "^nearmiss", check=False).split()
            if found:
                self.id = found[0]
            elif self.process.poll() is not None:
                raise Failure(f"the viewer ended with {self.process.returncode}: {self.process.stderr.read()}")
            elif time.monotonic() > limit:
                self.process.kill()
                raise Failure("no window came")
            else:
                time.sleep(0.05)
        self.xdotool("windowfocus", "--sync", self.id, check=False)

    def xdotool(self, *arguments, check=True):
        done = subprocess.run(["xdotool", *map(str, arguments)], env=self.environment, capture_output=True, text=True,
                              timeout=PATIENCE)
        if check and done.returncode != 0:
            raise Failure(f"xdotool {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def title(self):
        return self.xdotool("getwindowname", self.id, check=False).strip()

    def expect(self, pattern):
        limit = time.monotonic() + PATIENCE
        while not re.search(pattern, self.title()):
            if self.process.poll() is not None:
                raise Failure(f"the viewer ended with {self.process.returncode}: {self.process.stderr.read()}")
            if time.monotonic() > limit:
                raise Failure(f"the title stays '{self.title()}', not /{pattern}/")
            time.sleep(0.03)
        return self.title()

    def key(self, *names):
        self.xdotool("key", "--window", self.id, "--delay", 30, *names)

    def pointer(self, x, y, *more):
        self.xdotool("mousemove", "--window", self.id, x, y, *more)

    def picture(self, name):
        """The viewer's own screenshot, renamed."""
        self.key("s")
        limit = time.monotonic() + PATIENCE
        while True:
            made = glob.glob(os.path.join(self.folder, "nearmiss-*.png"))
            if made:
                break
            if time.monotonic() > limit:
                raise Failure(f"no screenshot came for {name}")
            time.sleep(0.03)
        path = os.path.join(self.folder, f"{name}.png")
        os.rename(made[0], path)
        with open(path, "rb") as file:
            content = file.read()
        for other, seen in self.pictures:
            if content == seen:
                raise Failure(f"the pictures {other} and {name} are the same")
        self.pictures.append((name, content))

    def end(self, action):
        """The viewer must end by itself, with 0 and nothing to say."""
        action()
        try:
            out, err = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failure("the viewer does not end") from None
        if self.process.returncode != 0 or err.strip():
            raise Failure(f"the viewer ended with {self.process.returncode}: {err}")
        return out


def browse(w):
    w.expect(r"list, 7 scenes, number 1 selected")
    time.sleep(0.5)  # small pictures come one by one
    w.picture("01-list")
    w.key("Down", "Down")
    w.expect(r"number 3 selected")
    w.key("slash")
    w.expect("typing")
    w.xdotool("type", "--window", w.id, "--delay", 30, "where severity > 0")
    w.key("Return")
    w.expect(r"list, [1-5] scenes, .*filtered$")
    w.picture("02-filtered")
    w.key("Escape")
    w.expect(r"list, 7 scenes, number 1 selected$")
    w.key("question")
    w.expect("help")
    w.picture("03-help")
    w.key("question")
    w.expect("selected$")
    w.key("Return")
    w.expect(r"scene \d+, 0\.00 s, paused")


def play(w):
    w.picture("04-scene")
    w.key("space")
    w.expect("playing")
    w.expect(r", [1-9]\.\d+ s,")
    w.key("space")
    w.expect("paused")
    w.key("Home")
    w.expect(r", 0\.00 s, paused")
    w.key("Right", "Right", "Right", "Left")
    w.expect(r", 0\.20 s, paused")
    w.key("shift+Right")
    w.expect(r", 1\.20 s, paused")
    w.key("m")
    w.expect(r", (?!1\.20)\d+\.\d\d s, paused")
    w.picture("05-moment")
    w.key("plus")
    w.expect("speed 2")
    w.key("minus", "minus")
    w.expect(r"speed 0\.5")
    w.key("plus")
    w.pointer(700, 780, "mousedown", 1)
    w.expect(r", (4|5)\.\d+ s, paused")
    w.pointer(300, 780, "mouseup", 1)
    w.expect(r", [12]\.\d+ s, paused")
    w.picture("06-scrubbed")


def look(w):
    w.pointer(640, 300, "click", 4, "click", 4, "click", 4)
    time.sleep(0.2)
    w.picture("07-zoomed")
    w.pointer(640, 300, "mousedown", 1)
    for x in range(650, 800, 25):
        w.pointer(x, 330)
    w.xdotool("mouseup", 1)
    time.sleep(0.2)
    w.picture("08-dragged")
    w.key("f")
    w.expect(r"follow \d+")
    w.picture("09-following")
    w.pointer(640, 323, "click", 1)  # the middle of the pane, where who is followed stands
    w.expect(r"follow \d+")
    w.key("c")
    w.expect("chase")
    w.picture("10-behind")
    w.key("c")
    w.expect("free")
    w.picture("11-free")
    w.key("u", "c", "r")
    w.expect("follow nobody, bird")
    for number, digit in enumerate("1234567890"):
        w.key(digit)
        if digit in "137":
            w.picture(f"12-without-{digit}")
        w.key(digit)
    w.key("n", "g", "t")
    time.sleep(0.3)
    w.picture("13-dark")
    w.key("n", "n", "g", "t")


def compare(w):
    w.key("Escape")
    w.expect("list")
    w.key("Down", "b")
    w.expect(r"scene \d+ beside \d+")
    w.key("space")
    w.expect("playing")
    w.expect(r", [3-9]\.\d+ s,")
    w.key("space")
    w.expect("paused")
    w.picture("14-beside")
    w.key("x")
    w.expect(r"scene \d+, ")


def drive_live(w):
    w.key("Home", "shift+Right", "l")
    w.expect("playing.*live")
    w.expect(r", [4-9]\.\d+ s,.*live")
    w.picture("15-live")
    w.key("l")
    w.expect("recorded")


def another_writes(w):
    """Another process puts a scene into the store that is looked at."""
    w.key("Escape")
    w.expect(r"list, 7 scenes")
    done = subprocess.run([w.binary, "simulate", "--map", "roundabout", "--seconds", "2", "--store", "s.db", "--quiet"],
                          cwd=w.folder, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise Failure(f"a second process cannot write: {done.stderr}")
    w.key("F5")
    w.expect(r"list, 8 scenes")
    w.key("End")
    w.expect(r"number 8 selected")
    time.sleep(0.3)
    w.picture("16-new-scene")
    w.key("Tab")
    w.expect(r"scene \d+, ")


def parent(w):
    """The last scene was made from the first: the store knows."""
    w.key("Escape")
    w.expect("list")
    w.key("End", "Up", "p")  # of those without an event, which are the last
    w.expect(r"scene 7 beside 1")
    w.key("shift+Right", "shift+Right")
    w.expect(r", 2\.00 s")
    w.picture("17-parent")
    w.key("x")
    w.expect(r"scene 7, ")


def disturb(w):
    """Resizing, hiding and closing in the middle of playing."""
    w.key("Home", "space")
    w.expect("playing")
    for width, height in ((500, 400), (1300, 850), (200, 170), (900, 600)):
        w.xdotool("windowsize", w.id, width, height)
        time.sleep(0.15)
    w.picture("18-resized")
    w.xdotool("windowunmap", w.id)
    time.sleep(0.3)
    w.xdotool("windowmap", w.id)
    time.sleep(0.3)
    w.xdotool("windowfocus", w.id, check=False)
    w.key("Home")
    time.sleep(0.2)
    if "paused" in w.title():
        w.key("space")
    w.expect("playing")


def run(binary, environment, folder):
    def nearmiss(*arguments):
        done = subprocess.run([binary, *arguments], cwd=folder, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise Failure(f"nearmiss {' '.join(arguments)}: {done.stderr}")

    nearmiss("simulate", "--map", "junction_signal:density=25", "--planner", "constant_velocity", "--seconds", "10",
             "--count", "6", "--seed", "1", "--store", "s.db", "--quiet")
    nearmiss("simulate", "1", "--store", "s.db", "--seconds", "8", "--quiet")  # scene 7
    nearmiss("mine", "--store", "s.db", "--quiet")
    w = Window([binary, "view", "--store", "s.db"], environment, folder)
    try:
        for part in (browse, play, look, compare, drive_live, another_writes, parent, disturb):
            part(w)
        w.end(lambda: press_close_button(environment["DISPLAY"], int(w.id)))  # while it plays
    finally:
        if w.process.poll() is None:
            w.process.kill()
    w = Window([binary, "view", "--store", "s.db", "--scale", "2"], environment, folder)
    try:
        w.expect(r"list, 8 scenes, number 1 selected")
        w.pointer(500, 2 * (58 + 72 + 36), "click", 1)  # the middle of the second row, where points take two pixels
        w.expect(r"number 2 selected")
        time.sleep(0.5)
        w.picture("19-scaled")
        w.end(lambda: w.key("q"))
    finally:
        if w.process.poll() is None:
            w.process.kill()
    w = Window([binary, "view", "1", "--store", "s.db", "--live"], environment, folder)
    w.expect("playing")
    w.process.terminate()
    out, err = w.process.communicate(timeout=PATIENCE)
    if w.process.returncode != 1 or "interrupted" not in err:
        raise Failure(f"after SIGTERM the viewer ended with {w.process.returncode}: {err}")
    done = subprocess.run([binary, "view", "1", "--store", "s.db", "--screenshot", "99-last.png", "--exit-after", "0.5",
                           "--json"], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    if done.returncode != 0 or not os.path.getsize(os.path.join(folder, "99-last.png")):
        raise Failure(f"--screenshot: {done.stderr}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--pictures")
    options = parser.parse_args()
    for tool in ("Xvfb", "xdotool"):
        if not shutil.which(tool):
            print(f"skipped: {tool} is missing")
            return SKIPPED
    folder = options.pictures or tempfile.mkdtemp(prefix="nearmiss-viewer-")
    folder = os.path.abspath(folder)
    os.makedirs(folder, exist_ok=True)
    server, display = start_display()
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("WAYLAND_DISPLAY", "SDL_VIDEODRIVER", "XDG_RUNTIME_DIR")}
    environment.update(DISPLAY=display, LC_ALL="C.UTF-8")
    # Mesa's driver leaves two small records and is unloaded before a sanitizer looks: no suppression can name it. Leaks
    # of the viewer itself are found by its tests without a window.
    environment.setdefault("ASAN_OPTIONS", "detect_leaks=0")
    try:
        print(run(os.path.abspath(options.binary), environment, folder))
        return 0
    except Failure as failure:
        if "OpenGL" in str(failure):
            print(f"skipped: {failure}")
            return SKIPPED
        print(f"drive_viewer.py: {failure}", file=sys.stderr)
        return 1
    finally:
        server.terminate()
        server.wait()
        if not options.pictures:
            shutil.rmtree(folder, ignore_errors=True)


sys.exit(main())
