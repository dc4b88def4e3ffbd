"""Float networks of the verification literature at other widths: python -m bench.literature [NAMES] [--bits 8,16] [--seconds 60]

NAMES are some of mnist-256x2, mnist-256x4, acas-xu, tinytaxi, pairs and marabou, all by default. Each network is quantized and compared
with its float original, and then asked what is asked of it elsewhere (docs/lab/mnist-256.md, acas-xu.md, tinytaxi.md). --seconds are CPU
seconds for a query, so that other work on the machine costs no answers. Finished queries are kept in --cache: one that is there, of the
same network and with the same limit, is not asked again. What networks come to is in bench/results/literature.json.

setting   networks, formats, and how a query is asked
mnist     robustness of MNIST networks
acas      properties 1 to 4 of ACAS Xu, and pairs of its quantizations
taxi      how far a runway's image moves the outputs of TinyTaxi
rivals    Marabou on the float networks of mnist and acas
"""
