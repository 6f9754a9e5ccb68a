"""A lesson that goes on while the brokers below it die: a teacher and thousands of students.

    python -m examples.classroom --students 5000 --nodes 3 --seconds 60 --seed 1

To be read in this order: `lesson` (what all must agree on), `student`, `teacher`, `measure` (what
agreement means), `client` (NATS on our streams), `classroom` (all of them), `nodes` and `faults`
(what goes wrong), `page` (what a browser shows). The guide is docs/classroom.md.
"""
