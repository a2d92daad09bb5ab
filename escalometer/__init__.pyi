from escalometer.api import ArrowTable as ArrowTable
from escalometer.api import Decisions as Decisions
from escalometer.api import compare as compare
from escalometer.api import disagreements as disagreements
from escalometer.api import gate as gate
from escalometer.api import junit as junit
from escalometer.api import models as models
from escalometer.api import optimal_threshold as optimal_threshold
from escalometer.api import parameters as parameters
from escalometer.api import power as power
from escalometer.api import profile as profile
from escalometer.api import read as read
from escalometer.api import report as report
from escalometer.api import summary as summary

__version__: str
