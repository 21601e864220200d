"""The same generations in the shape of OpenAI's API, so that its clients need only another address and a key.

`user` is the end user, as that API means it, and needs documents here to be personalized. Beside the standard
parameters stand `task`, `method`, `retriever`, `k` and `num_beams` (`extra_body` in the official client). The model
sees one text, the task's input: the prompt, or the last user message; earlier turns are not read, and instructions of
a system are refused rather than dropped.
"""
