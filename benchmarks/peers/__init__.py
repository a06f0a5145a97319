"""Other engines on the same readings and the same rule: `python -m benchmarks.peers [names]`.

A peer is a program of its own, `python -m benchmarks.peers.NAME INPUT OUTPUT`. INPUT is a folder with a file for each
micro-batch, in order of arrival (`part-000000.parquet` and so on; columns patient, device, time_us, glucose_tenths);
OUTPUT is a folder for its Parquet files of evaluations: patient, time_us, version, flagged. Of several evaluations of
one reading the one with the highest version counts. Peers run in their own environments and import nothing of Islet;
only `islet_engine` does. One more peer is one more file and one line in `peers.py`.
"""
