// Letters, numbers and the look of the page.
#include "weir/replay/page_private.h"

#include <inttypes.h>
#include <stdbool.h>

#define BAR_WIDTH 240

// Bytes behind the first of a UTF-8 character, -1 where it begins none.
static int following(uint8_t byte)
{
	if (byte < 0x80)
		return 0;
	if (byte >= 0xc2 && byte < 0xe0)
		return 1;
	if (byte >= 0xe0 && byte < 0xf0)
		return 2;
	return byte >= 0xf0 && byte < 0xf5 ? 3 : -1;
}

static bool is_character(const char *text, int count)
{
	for (int i = 1; i <= count; i++)
		if (((uint8_t)text[i] & 0xc0) != 0x80)
			return false;
	return count >= 0;
}

static void put(FILE *out, const char *text, int count)
{
	switch (text[0]) {
	case '<':
		fputs("&lt;", out);
		return;
	case '>':
		fputs("&gt;", out);
		return;
	case '&':
		fputs("&amp;", out);
		return;
	case '"':
		fputs("&quot;", out);
		return;
	default:
		if ((uint8_t)text[0] < ' ')
			fputs(" ", out);
		else
			fwrite(text, 1, (size_t)count + 1, out);
	}
}

void page_text(FILE *out, const char *text)
{
	for (; *text != '\0'; text++) {
		int count = following((uint8_t)*text);

		if (!is_character(text, count)) {
			fputs("\xef\xbf\xbd", out);
			continue;
		}
		put(out, text, count);
		text += count;
	}
}

void page_count(FILE *out, uint64_t number)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, number);

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			fputc(',', out);
		fputc(digits[i], out);
	}
}

void page_bar(FILE *out, double part, const char *class)
{
	double width = part > 0 ? part * BAR_WIDTH : 0;

	if (part > 0 && width < 1)
		width = 1; // there is something, however little
	fprintf(out,
		"<td class=\"bar\"><svg width=\"%d\" height=\"14\" aria-hidden=\"true\">"
		"<rect class=\"track\" width=\"%d\" height=\"14\"/>"
		"<rect class=\"%s\" width=\"%.1f\" height=\"14\"/></svg></td>",
		BAR_WIDTH, BAR_WIDTH, class, width);
}

void page_style(FILE *out)
{
	fputs("<style>\n"
	      ":root { color-scheme: light dark; --ground: #fff; --ink: #1d2329; --quiet: "
	      "#5b6670;\n"
	      "  --line: #d9dee3; --track: #eef1f4; --one: #2b6cb0; --two: #2f855a; --three: "
	      "#b7472a; }\n"
	      "@media (prefers-color-scheme: dark) { :root { --ground: #14181c; --ink: #e4e8ec;\n"
	      "  --quiet: #9aa5b0; --line: #333b43; --track: #20262c; --one: #6aa9e9; --two: "
	      "#67c28f;\n"
	      "  --three: #ee8f6f; } }\n"
	      "body { background: var(--ground); color: var(--ink); margin: 0 auto; max-width: "
	      "60rem;\n"
	      "  padding: 2rem 1.5rem 4rem; font: 15px/1.5 system-ui, sans-serif; }\n"
	      "h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2.6rem 0 "
	      ".2rem; }\n"
	      "p { margin: .2rem 0 .6rem; max-width: 48rem; } .quiet, caption { color: "
	      "var(--quiet); }\n"
	      "code, pre { font: 13px/1.5 ui-monospace, monospace; } pre { white-space: pre-wrap;\n"
	      "  overflow-wrap: anywhere; background: var(--track); padding: .7rem 1rem; }\n"
	      ".figures { display: grid; grid-template-columns: repeat(3, 1fr); list-style: none;\n"
	      "  gap: 1px; background: var(--line); border: 1px solid var(--line); margin: 1.4rem "
	      "0;\n"
	      "  padding: 0; } @media (max-width: 34rem) { .figures { grid-template-columns: 1fr; "
	      "} }\n"
	      ".figures li { background: var(--ground); padding: .7rem .9rem; } .figures span,\n"
	      "  .figures small { color: var(--quiet); font-size: .85rem; display: block; }\n"
	      ".figures strong { font-size: 1.6rem; font-weight: 500; font-variant-numeric: "
	      "tabular-nums; }\n"
	      "table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; "
	      "}\n"
	      "th { text-align: left; font-weight: 600; } thead th { color: var(--quiet); "
	      "font-size: .85rem;\n"
	      "  font-weight: 400; } td, th { padding: .22rem .8rem .22rem 0; vertical-align: "
	      "top;\n"
	      "  border-bottom: 1px solid var(--line); } .n { text-align: right; white-space: "
	      "nowrap; }\n"
	      ".bar { width: 240px; padding-top: .42rem; } .bar svg { display: block; }\n"
	      ".note { border-left: 4px solid var(--three); padding: .3rem 1rem; margin: 1rem 0; "
	      "}\n"
	      ".chart { display: block; width: 100%; height: auto; margin: .6rem 0; }\n"
	      ".chart text { font: 12px system-ui, sans-serif; fill: var(--quiet); }\n"
	      ".chart .mark { fill: var(--ink); stroke: var(--ground); stroke-width: 4px;\n"
	      "  paint-order: stroke; stroke-linejoin: round; } .axis, .tick { stroke: "
	      "var(--quiet); }\n"
	      ".grid { stroke: var(--line); } .track { fill: var(--track); }\n"
	      ".one { fill: var(--one); } .two { fill: var(--two); } .three { fill: var(--three); "
	      "}\n"
	      ".line { fill: none; stroke-width: 2; } .line.one { stroke: var(--one); fill: none; "
	      "}\n"
	      ".line.two { stroke: var(--two); fill: none; stroke-dasharray: 8 3; }\n"
	      ".line.three { stroke: var(--three); fill: none; stroke-dasharray: 2 3; }\n"
	      ".area { fill: var(--one); opacity: .15; } .rule { stroke: var(--ink);\n"
	      "  stroke-dasharray: 3 3; }\n"
	      "</style>\n",
		out);
}

const char *page_clock(const struct replay_report *report)
{
	return report->synthetic != NULL ? "load" : "capture";
}
