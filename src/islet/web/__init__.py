"""The portal: pages, the live stream and the log for consumers outside, over HTTP."""
