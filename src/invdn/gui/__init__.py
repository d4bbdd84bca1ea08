"""The desktop window: a thin face of `invdn.Denoiser` and `invdn.batch`, which computes nothing.

Needs the extra `gui` (PySide6). Everything that takes longer than a frame runs in a `tasks.Lane`
or in the `runner.Runner`; both report through Qt signals, which arrive in the interface thread.
"""
