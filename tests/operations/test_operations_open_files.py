"""The limit on open files of a process that serves."""

import resource

from islet.operations.open_files import allow_as_many_as_may_be


def test_a_process_that_serves_may_open_as_many_files_as_the_machine_lets_it() -> None:
    before = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        allow_as_many_as_may_be()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
