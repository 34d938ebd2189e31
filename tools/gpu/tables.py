"""Tables as text and as Markdown, and their places in a page."""


def table(heads, lines):
    widths = [max(len(str(line[i])) for line in [heads] + lines) for i in range(len(heads))]
    return '\n'.join('  '.join(str(cell).ljust(width) for cell, width in zip(line, widths)).rstrip()
                     for line in [heads] + lines)


def markdown_table(heads, lines):
    return '\n'.join('| ' + ' | '.join(str(cell) for cell in line) + ' |' for line in
                     [heads, ['---'] * len(heads)] + lines)


def parts_of(path, name):
    """What stands in the page before, between and behind the marks of this name."""
    begin, end = '<!-- %s begins -->\n' % name, '\n<!-- %s ends -->' % name
    with open(path) as file:
        text = file.read()
    if begin not in text or end not in text:
        raise SystemExit('%s has no marks of %s' % (path, name))
    first, last = text.index(begin) + len(begin), text.index(end)
    return text[:first], text[first:last], text[last:]


def write_between(path, name, text):
    before, _, behind = parts_of(path, name)
    with open(path, 'w') as file:
        file.write(before + text + behind)
