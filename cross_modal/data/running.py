"""Ways to run a function over tasks: on the cores of this machine, or on Apache Beam.

A runner is a function `(function, tasks) -> iterator of results`, in the order of the tasks. The functions of `ingest` go from files to files and pass over what is done, so
that it does not matter who runs them, how often, and whether somebody was killed on the way.
"""

import concurrent.futures
import os

from cross_modal.data import schema


def in_threads(function, tasks):
    """Runs on the cores of this machine; decoding leaves Python's lock to others."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = [pool.submit(function, task) for task in tasks]
        try:
            for future in futures:
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def on_beam(options=()):
    """Makes a runner on Apache Beam, whose workers must see the folders of the table and of the dataset under the same paths.

    Args:
        options: list of str, Beam's pipeline options, such as `["--runner=FlinkRunner"]`; none for the runner on this machine.

    Returns:
        The runner.

    Raises:
        TableError: if Apache Beam is not installed.
    """
    try:
        import apache_beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ModuleNotFoundError as error:
        raise schema.TableError("Expected Apache Beam. Install it: pip install 'cross_modal[beam]'") from error

    def run(function, tasks):
        tasks = list(tasks)
        if tasks:
            with apache_beam.Pipeline(options=PipelineOptions(list(options))) as pipeline:
                _ = pipeline | apache_beam.Create(tasks) | apache_beam.Reshuffle() | apache_beam.Map(function)
        yield from map(function, tasks)  # All is done: this reads what came out.

    return run
