"""Cramér-Rao bounds of labels: what a spectrum allows, before or beside a fit.

``fisher`` has the algebra of information matrices, ``gradients`` the matrices of a star's pixels,
``exposure`` and ``design`` an instrument, a model and what is unknown, ``star`` the bounds of one
star, ``grid`` those of many, ``fitted`` those of fitted stars; ``budget``, ``planner`` and
``repeats`` answer questions about a survey.
"""
