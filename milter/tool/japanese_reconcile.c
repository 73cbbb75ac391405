/* What `log reconcile` says. */
#include <stddef.h>

#include "config/base/str.h"
#include "milter/tool/japanese.h"

const struct japanese_row japanese_reconcile[] = {
	{ "QUEUE ID", "キュー ID" },
	{ "TIME (JST)", "時刻 (JST)" },
	{ "MTA's log", "MTA のログ" },
	{ STR_FMT " lines, %s to %s JST, " STR_FMT " messages", STR_FMT " 行、%s ～ %s JST、メール " STR_FMT " 通" },
	{ "With record", "記録あり" },
	{ "Explained", "説明可" },
	{ "Unexplained", "説明不可" },
	{ " (--all lists them)", "（--all で一覧）" },
	{ ": record ", "：記録 " },
	{ "no line of Postfix or Sendmail about a message: is it the MTA's log?",
	  "Postfix や Sendmail のメールに関する行がありません。MTA のログでしょうか" },
	{ "the MTA's own report about", "MTA 自身が作った通知です。元のメールは" },
	{ "requeued, before it was", "キューに入れ直されたものです。以前は" },
	{ "back from a content filter, before it was", "コンテンツフィルタから戻ったものです。以前は" },
	{ "forwarded by an alias, before it was", "エイリアスで転送されたものです。以前は" },
	{ "handed on to the MTA's daemon as " STR_FMT, STR_FMT " として MTA のデーモンに渡されました" },
	{ "an address probe or a double bounce of the MTA's own", "MTA 自身によるアドレス確認か二重不達です" },
	{ "it came before the relay log's first record", "中継記録の最初の記録より前に届いたものです" },
	{ "it came before these files begin", "これらのファイルの始まりより前に届いたものです" },
	{ "NO RECORD: %s " STR_FMT ", which has none either", "記録なし：%s " STR_FMT "。これにも記録がありません" },
	{ "NO RECORD: it came by SMTP from " STR_FMT " and went round the gate",
	  "記録なし：" STR_FMT " から SMTP で届き、関所を通っていません" },
	{ "NO RECORD: handed in on this host (" STR_FMT ") and not shown to the gate: see non_smtpd_milters",
	  "記録なし：このホストで投入され（" STR_FMT "）、関所に示されていません。non_smtpd_milters を確認してください" },
	{ "NO RECORD: made by the MTA itself, and no line says from what", "記録なし：MTA 自身が作ったもので、元を示す行がありません" },
	{ "NO MESSAGE: the gate let it pass, and the MTA's log does not know it",
	  "メールなし：関所は通しましたが、MTA のログにありません" },
	{ NULL, NULL },
};
