"""Where the publisher's files lie, and what is known of them: figshare article 1512427.

Addresses, sizes and MD5s are those of figshare's listing of the article, version 8, as
others quote it: README.md says what agrees.
"""

from datasets import download

ARTICLE = "https://figshare.com/articles/dataset/brain_tumor_dataset/1512427"
_FILES = "https://ndownloader.figshare.com/files"

FILES = (
    download.File(
        "brainTumorDataPublic_1-766.zip",
        f"{_FILES}/3381290",
        size=214_401_279,
        md5="74b949ad33f042e6e103523091cd1428",
    ),
    download.File(
        "brainTumorDataPublic_767-1532.zip",
        f"{_FILES}/3381296",
        size=217_848_429,
        md5="7e8a875500d2c8a346f270538e29890e",
    ),
    download.File(
        "brainTumorDataPublic_1533-2298.zip",
        f"{_FILES}/3381293",
        size=215_563_856,
        md5="8227bf6080cb71f15a88be8d25c79ae7",
    ),
    download.File(
        "brainTumorDataPublic_2299-3064.zip",
        f"{_FILES}/3381302",
        size=231_679_762,
        md5="b378a80d6174e5317d59eb28430c6652",
    ),
    download.File(
        "cvind.mat",
        f"{_FILES}/7005344",
        size=5_736,
        md5="5ea82eb3212c9fcb84290ccf0beb486d",
    ),
)
