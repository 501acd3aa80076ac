# SPDX-License-Identifier: LGPL-2.1-or-later
"""Write a text file as a C array: embed.py INPUT OUTPUT NAME"""
import sys

source, target, name = sys.argv[1:]
with open(source, 'rb') as f:
    data = f.read()
rows = [', '.join(str(b) for b in data[i:i + 20]) for i in range(0, len(data), 20)]
with open(target, 'w', encoding='ascii') as f:
    f.write('static const char %s[] = {\n\t%s, 0\n};\n' % (name, ',\n\t'.join(rows)))
