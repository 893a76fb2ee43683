"""Writes a CommonRoad 2018b scene: car 2 follows car 1 on one lane at 20 m/s with a gap of 8 m. make_following.py OUT [GAP]"""
import sys

out = sys.argv[1]
gap = float(sys.argv[2]) if len(sys.argv) > 2 else 8.0


def bound(name, y):
    points = "".join(f"<point><x>{x}</x><y>{y}</y></point>" for x in (0, 100, 200, 300))
    return f"<{name}>{points}</{name}>"


def state(tag, x, step):
    return (f"<{tag}><position><point><x>{x:.3f}</x><y>0</y></point></position><orientation><exact>0</exact>"
            f"</orientation><time><exact>{step}</exact></time><velocity><exact>20</exact></velocity></{tag}>")


def car(number, x):
    states = "".join(state("state", x + 2 * step, step) for step in range(1, 41))
    return (f'<obstacle id="{number}"><role>dynamic</role><type>car</type><shape><rectangle><length>4</length>'
            f'<width>1.8</width></rectangle></shape>{state("initialState", x, 0)}<trajectory>{states}</trajectory>'
            "</obstacle>")


with open(out, "w") as file:
    file.write(f'<commonRoad commonRoadVersion="2018b" benchmarkID="ZAM_Following-1_1_T-1" date="2024-01-01" author="" '
               f'affiliation="" source="" tags="" timeStepSize="0.1"><lanelet id="10">{bound("leftBound", 1.75)}'
               f'{bound("rightBound", -1.75)}</lanelet>{car(1, 50)}{car(2, 50 - 4 - gap)}</commonRoad>\n')
